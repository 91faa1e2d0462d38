"""Pictures: panels, grids, charts, confusion matrices."""

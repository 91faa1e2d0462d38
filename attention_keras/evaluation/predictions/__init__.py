"""Answers for many files: asked in batches, kept in a table, drawn, shown on one page."""

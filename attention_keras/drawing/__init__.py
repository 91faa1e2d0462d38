"""Figures as arrays of pixels: images with maps, charts."""

"""Layers: the middlewares, one a file."""

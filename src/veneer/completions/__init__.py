"""Completions that can be asked for again, and ended, by their id."""

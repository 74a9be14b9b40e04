"""Unmodified clients of others against the stack, which they know by a base URL and a key alone."""

"""Upstreams: what talks to model servers."""

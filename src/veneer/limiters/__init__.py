"""Limiters: who counts what is used, and decides whether more may be."""

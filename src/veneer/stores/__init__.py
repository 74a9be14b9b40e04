"""Stores: where records are kept, chosen by URL."""

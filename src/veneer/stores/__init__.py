"""Stores: where records are kept, chosen by URL."""

from veneer.stores.opening import open_key_store, open_provider_key_store

__all__ = ["open_key_store", "open_provider_key_store"]

"""A deterministic model server to try the layers against: no model, no keys, no network."""

from .models import DEFAULT_MODELS, DemoModel
from .server import DemoServer

__all__ = ["DEFAULT_MODELS", "DemoModel", "DemoServer"]

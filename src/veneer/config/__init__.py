"""Configuration: one TOML file with a table for each layer, and the stack that it describes."""

from veneer.config.build import build
from veneer.config.load import load, parse
from veneer.config.router import build_upstream
from veneer.config.tables import Config

__all__ = ["Config", "build", "build_upstream", "load", "parse"]

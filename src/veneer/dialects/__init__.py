"""Dialects: what APIs say in ways of their own, as records of data."""

from veneer.dialects.dialect import Dialect, Failure, Form
from veneer.dialects.kinds import Kind
from veneer.dialects.openai import OPENAI

__all__ = ["OPENAI", "Dialect", "Failure", "Form", "Kind"]

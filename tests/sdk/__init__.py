"""Helpers for users of OpenAI's client."""

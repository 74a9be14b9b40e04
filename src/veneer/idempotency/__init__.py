"""Idempotency: what a call was answered is recorded, so that it can be asked for again."""

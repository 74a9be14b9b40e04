"""Provider keys: those that callers have of their own for providers, and who tells them."""

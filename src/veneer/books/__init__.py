"""Books: what people read of a ledger, and set in it."""

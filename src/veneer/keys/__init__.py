"""Keys: what one looks like, what is known of it, and where that is kept."""

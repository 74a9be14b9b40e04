"""The catalog: which models there are, what they can do, and under which names."""

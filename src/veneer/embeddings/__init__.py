"""Embeddings: what an input holds, how answers are joined, and how vectors are written; pure."""

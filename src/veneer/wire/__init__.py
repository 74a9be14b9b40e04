"""Pure functions on bytes as they stand on the wire: no input or output, no state of ours."""

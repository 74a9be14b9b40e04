"""What the benchmarks share: processes under test, load, and how results are kept and shown."""

"""How fast throughtime is: `benchmarks.run` measures, `benchmarks.compare` compares; see docs/performance.md."""

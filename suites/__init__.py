"""asv benchmarks and the raw loops that the harness is held against."""

"""asv benchmarks; and, without a benchmark in them, programs that hold the harness to its word.

asv imports every package below this one to look for benchmarks: no module here imports a framework. The raw loops in
``raw`` do, so that folder is no package.
"""

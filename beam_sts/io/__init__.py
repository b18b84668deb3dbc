"""Slices of input files in, shards out, on any fsspec file system. Knows nothing of models or Beam."""

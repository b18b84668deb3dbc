"""Reads slices of files and writes shards, on any fsspec file system. Independent of models and Beam."""

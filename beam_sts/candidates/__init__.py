"""Sources of candidate pairs. Each source is one function, which the local and the Beam driver share."""

"""Former places of the functions on corpora: candidate pairs and neighbours."""

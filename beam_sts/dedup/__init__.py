"""Near-duplicates: scored candidates, clusters, representatives and receipts, on one machine and in Beam."""

"""Near-duplicates: candidates scored, clusters, representatives, receipts; on one machine and in Beam."""

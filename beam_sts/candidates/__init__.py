"""Which pairs of texts are worth a score: sources of candidates, one function each for both drivers."""

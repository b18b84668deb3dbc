"""Mining training pairs: texts in, pairs of them with scores, training sets out."""

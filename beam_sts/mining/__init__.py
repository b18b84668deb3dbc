"""Mining of training pairs: texts in, scored pairs and training sets out."""

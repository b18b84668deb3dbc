"""Training of the embedded models: vocabulary, pairs, teacher, student, evaluation. It imports no Beam."""

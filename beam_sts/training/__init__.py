"""Training of the embedded models: vocabulary, pairs, teacher, student, evaluation. Imports no Beam."""

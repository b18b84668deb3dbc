"""Score text pairs with cross-encoders in Apache Beam."""

from beam_sts.models import bert_hash as _bert_hash  # noqa: F401  registers BERT-hash with the Auto classes

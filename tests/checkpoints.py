"""Random checkpoints, built offline in a moment, for parity with the reference."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast

from beam_sts.models.bert_hash import BertHashConfig, BertHashForSequenceClassification

SENTENCES = [
    "A man is playing a guitar on the stage.",
    "The quick brown fox jumps over the lazy dog!",
    "Stocks fell 3.5% in New York, while oil rose to $81.20 a barrel.",
    "Никто не знает, что будет завтра.",
    "今天天气很好，我们去公园吧。",
    "Ça m'a coûté 12,50 €, naïve façade.",
    "🙂 emoji 🚀 and ünïcödé",
]


def wordpiece(vocab_size: int = 300) -> Tokenizer:
    """An uncased BERT tokenizer trained on a few sentences."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ids)
    return tokenizer


def bert_hash(
    folder: Path,
    *,
    projections: int = 8,
    hidden_size: int = 16,
    vocab_size: int = 400,
    seed: int = 0,
    **config,
) -> Path:
    """A random BERT-hash cross-encoder with wide logits, so that scores spread over 0 to 1."""
    torch.manual_seed(seed)
    model = BertHashForSequenceClassification(
        BertHashConfig(
            projections=projections,
            hidden_size=hidden_size,
            intermediate_size=4 * hidden_size,
            num_hidden_layers=2,
            num_attention_heads=2,
            vocab_size=vocab_size,
            num_labels=config.pop("num_labels", 1),
            **config,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(3.0)
        model.classifier.weight.mul_(20 / hidden_size)
    model.save_pretrained(folder)
    BertTokenizerFast(
        tokenizer_object=wordpiece(), model_max_length=model.config.max_position_embeddings
    ).save_pretrained(folder)
    return folder

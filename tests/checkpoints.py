"""Random checkpoints, built offline in seconds, for parity with the reference."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
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


def wordpiece() -> Tokenizer:
    """An uncased BERT tokenizer of the words of a few sentences and their characters.

    The library's trainer breaks ties at random, so each process would get another checkpoint.
    """
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    words = {
        word for text in SENTENCES for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    }
    letters, inner = (
        {letter for word in words for letter in word},
        {letter for word in words for letter in word[1:]},
    )
    pieces = sorted(words | letters | {f"##{letter}" for letter in inner})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    ids_of = {piece: number for number, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids_of, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.add_special_tokens(vocabulary[:5])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ids)
    return tokenizer


def spread_head(model, seed: int = 0) -> None:
    """Scale a random model so that its scores depend on the texts and cover 0 to 1.

    Parity of a model whose scores are all 0.48 would prove nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randint(5, min(200, model.config.vocab_size), (64, 24), generator=generator)
    sample[:, 0] = 2  # [CLS], where BERT reads its output
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embeddings" not in name:
                parameter.normal_(0, 1.2 / parameter.shape[1] ** 0.5, generator=generator)
        model.eval()
        logits = model(sample).logits
        model.classifier.weight.mul_(1.5 / logits.std())
        model.classifier.bias.sub_(model(sample).logits.mean())


def bert_hash_model(
    *,
    projections: int = 8,
    hidden_size: int = 16,
    vocab_size: int = 400,
    num_labels: int = 1,
    seed: int = 1,
    zero_padding: bool = True,
    **config,
):
    """A random BERT-hash cross-encoder; 16/128 with 30,522 tokens has the size of the nano."""
    torch.manual_seed(seed)
    model = BertHashForSequenceClassification(
        BertHashConfig(
            projections=projections,
            hidden_size=hidden_size,
            vocab_size=vocab_size,
            num_labels=num_labels,
            **{
                "intermediate_size": 4 * hidden_size,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                **config,
            },
        )
    )
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.embeddings.weight.normal_(0, 1)
        if zero_padding:  # as training leaves it
            model.bert.embeddings.word_embeddings.embeddings.weight[model.config.pad_token_id] = 0
        model.bert.embeddings.word_embeddings.projections.weight.normal_(0, projections**-0.5)
    spread_head(model, seed)
    return model


def bert_hash(folder: Path, **settings) -> Path:
    """The same as a checkpoint folder."""
    model = bert_hash_model(**settings)
    model.save_pretrained(folder)
    tokenizer = BertTokenizerFast(
        tokenizer_object=wordpiece(), model_max_length=model.config.max_position_embeddings
    )
    tokenizer.save_pretrained(folder)
    return folder

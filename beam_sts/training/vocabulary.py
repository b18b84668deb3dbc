"""The uncased WordPiece vocabulary of the embedded models, and the initial values of its token table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from beam_sts.training.autocast import autocast

FILES = ("tokenizer.json", "tokenizer_config.json")  # files of a tokenizer
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = 400
# NFKC first, so that full-width letters, ligatures and the like are read as the letters they stand for.
_NORMALIZER = normalizers.Sequence([normalizers.NFKC(), normalizers.BertNormalizer(lowercase=True)])


def train_vocabulary(texts: Sequence[str], size: int, min_frequency: int = 2) -> Tokenizer:
    """Train an uncased WordPiece tokenizer that works like BERT's. The result is deterministic.

    The library numbers letters in the order of a hash table, and of two equally frequent merges it chooses
    the one with the lower numbers, so each process would get another vocabulary. Here the letters are
    numbered in a fixed order before the training.

    Args:
        texts: Training texts.
        size: Size of the vocabulary, special tokens included ([PAD] is 0).
        min_frequency: Least number of occurrences of a pair of pieces that is merged.

    Returns:
        A tokenizer with BERT's normaliser, pre-tokeniser and pair template, without truncation or padding.
    """
    letters = _frequent_letters(texts)
    special = list(SPECIAL_TOKENS)
    alone = _trained(
        texts, letters, special, 0, min_frequency
    )  # letters at the start of a word, and within a word
    numbered = special + sorted(set(alone) - set(special))
    pieces = _trained(texts, letters, numbered, size, min_frequency)
    # In a tokenizer from this training, each letter would be a special token.
    tokenizer = _bare(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.add_special_tokens(special)
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )
    return tokenizer


def _frequent_letters(texts: Iterable[str]) -> list[str]:
    """The letters of a vocabulary: the most frequent ones; ties go to the lower code point."""
    counts: Counter[str] = Counter()
    for text in map(_NORMALIZER.normalize_str, texts):
        counts.update(text)
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [letter for letter, _ in ordered if not letter.isspace()][:_LETTERS]


def _bare(model: models.WordPiece) -> Tokenizer:
    """A tokenizer that splits texts into words like BERT's."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = _NORMALIZER
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _trained(
    texts: Iterable[str], letters: list[str], numbered: list[str], size: int, min_frequency: int
) -> dict[str, int]:
    """Run the library's training: pieces with their ids, those of ``numbered`` first."""
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=numbered,
        initial_alphabet=letters,
        limit_alphabet=_LETTERS,
        show_progress=False,
    )
    tokenizer = _bare(models.WordPiece(unk_token="[UNK]"))
    tokenizer.train_from_iterator(texts, trainer)
    pieces: dict[str, int] = tokenizer.get_vocab()
    return pieces


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> PreTrainedTokenizerBase:
    """Write tokenizer.json and tokenizer_config.json, and load them with transformers.

    The class in the settings is the general one, because BERT's builds its normaliser again and would drop
    NFKC.

    Args:
        tokenizer: A tokenizer of :func:`train_vocabulary`.
        folder: Folder to write to; created if missing.
        max_length: Limit for a pair, in tokens.

    Returns:
        The tokenizer loaded from the folder.

    Raises:
        ValueError: The tokenizer of transformers gives other ids than the original one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unknown, separator, padding, first, mask = (SPECIAL_TOKENS[at] for at in (1, 3, 0, 2, 4))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=unknown,
        sep_token=separator,
        pad_token=padding,
        cls_token=first,
        mask_token=mask,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)
    # transformers 5 writes its own name of the class, which transformers 4 does not know.
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    probe = ("Café N°5: 12.5 km, don't!", "  spaced\tout 中文 🙂 Straße ｗｉｄｅ ")
    raw = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(*probe)
    found = loaded(*probe)
    if raw.ids != found["input_ids"] or raw.type_ids != found["token_type_ids"]:
        raise ValueError(
            f"{folder}: AutoTokenizer gives {found['input_ids']} for {probe}, but tokenizer.json "
            f"gives {raw.ids}"
        )
    return loaded


def with_nfkc(source: Path, folder: Path, max_length: int) -> PreTrainedTokenizerBase:
    """Save the tokenizer of a checkpoint with the normaliser of :func:`train_vocabulary`.

    Args:
        source: Folder of a checkpoint with a WordPiece vocabulary of this module.
        folder: Folder to write to; created if missing.
        max_length: Limit for a pair, in tokens.
    """
    tokenizer = Tokenizer.from_file(str(source / FILES[0]))
    tokenizer.normalizer = _NORMALIZER
    return save_tokenizer(tokenizer, folder, max_length)


def piece_vectors(pieces: Sequence[str], source: Path, contextual: bool = False) -> np.ndarray:
    """A vector for each piece from a BERT model: the mean of the input embeddings of the piece's tokens.

    Args:
        pieces: WordPiece entries, continuation pieces with their ``##``.
        source: Checkpoint folder of a BERT encoder with an uncased WordPiece vocabulary.
        contextual: Use the mean of the encoder's output for the piece as a text instead.

    Returns:
        float32[pieces, the source's hidden size]; special tokens get zeros.
    """
    tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
    model = AutoModel.from_pretrained(
        source, dtype=torch.float32, use_safetensors=True, local_files_only=True
    ).eval()
    vocabulary = tokenizer.get_vocab()
    special = set(SPECIAL_TOKENS)
    ids: list[list[int]] = []
    for piece in pieces:
        if piece in special:
            ids.append([])
        elif piece in vocabulary:
            ids.append([vocabulary[piece]])
        else:
            ids.append(tokenizer(piece.removeprefix("##"), add_special_tokens=False)["input_ids"])
    table = model.get_input_embeddings().weight.detach()
    vectors = torch.zeros(len(pieces), table.shape[1])
    with torch.inference_mode():
        if contextual:
            filled = [row for row, own in enumerate(ids) if own]
            filled.sort(key=lambda row: len(ids[row]))
            start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
            for begin in range(0, len(filled), 512):
                rows = filled[begin : begin + 512]
                batch = tokenizer.pad(
                    {"input_ids": [[start, *ids[row], end] for row in rows]}, return_tensors="pt"
                )
                with autocast("cpu"):
                    output = model(**batch).last_hidden_state.float()
                mask = batch["attention_mask"][..., None]
                vectors[rows] = (output * mask).sum(1) / mask.sum(1)
        else:
            for row, own in enumerate(ids):
                if own:
                    vectors[row] = table[own].mean(0)
    return vectors.numpy()


def leading_components(vectors: np.ndarray, width: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Project vectors on their leading principal components, scaled to unit variance overall.

    Args:
        vectors: float[n, dims]; zero rows stay zero.
        width: How many components to keep.
        weights: Weight of each row for the mean and the covariance, float[n].

    Returns:
        float32[n, width].
    """
    filled = np.any(vectors != 0, axis=1)
    rows = vectors[filled].astype(np.float64)
    weight = np.ones(len(rows)) if weights is None else weights[filled].astype(np.float64)
    rows = rows - np.average(rows, axis=0, weights=weight)
    covariance = (rows * weight[:, None]).T @ rows / weight.sum()
    _, basis = np.linalg.eigh(covariance)
    projected = rows @ basis[:, ::-1][:, :width]
    # Signs of eigenvectors are arbitrary: fix them, so that every machine starts from the same table.
    projected *= np.sign(projected[np.abs(projected).argmax(axis=0), np.arange(width)])
    result = np.zeros((len(vectors), width), dtype=np.float32)
    result[filled] = projected / projected.std()
    return result


def token_table(vectors: np.ndarray, counts: np.ndarray, width: int, seed: int) -> np.ndarray:
    """The initial token table: leading components of the piece vectors, and the rarity of each piece.

    Args:
        vectors: Vectors of :func:`piece_vectors`, float[vocabulary, dims]; zero rows are special tokens.
        counts: Occurrences of each piece in the training texts, at least 1.
        width: Width of the table.
        seed: Seed of the random rows of special tokens.

    Returns:
        float32[vocabulary, width] of about unit variance; row 0 (padding) is zero.
    """
    special = ~np.any(vectors != 0, axis=1)
    rarity = -np.log(counts / counts.sum())
    rarity = (rarity - rarity[~special].mean()) / rarity[~special].std()
    table = np.concatenate([leading_components(vectors, width - 1), rarity[:, None]], axis=1).astype(
        np.float32
    )
    rng = np.random.default_rng(seed)
    table[special] = 0.3 * rng.standard_normal((int(special.sum()), width)).astype(np.float32)
    table[0] = 0
    return table


def piece_counts(tokenizer: Tokenizer, texts: Sequence[str]) -> np.ndarray:
    """The count of each piece in ``texts``, plus one, int64[vocabulary]."""
    counts = np.ones(tokenizer.get_vocab_size(), dtype=np.int64)
    for begin in range(0, len(texts), 20_000):
        for encoding in tokenizer.encode_batch(list(texts[begin : begin + 20_000]), add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1)
    return counts

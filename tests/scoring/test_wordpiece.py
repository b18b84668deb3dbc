"""Columns of texts have the same ids as with the reference tokenizer."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.tokens import PairTokenizer
from beam_sts.scoring.wordpiece import WordPieceColumns
from tests.architectures import byte_level, sentencepiece_like

# Pieces for every boundary: words, marks, spaces, special tokens, other scripts, control characters.
PARTS = [
    "guitar", "Guitars", "unbelievably", "x", "7", "3.14", "don't", "e-mail", "[SEP]", "[sep]", "[ SEP ]",
    "[CLS", "##ing", "_", "\\",
    "~", " ", "  ", "\t", "\n", "\r\n", "\x0b", "\x1f", "\x7f", "\x00", "\u00a0", "\u200b",
    "é", "É", "ß", "İ", "中", "。", "😀", "a\u0301", "\ufeff", "w" * 99, "w" * 100, "w" * 101,
]  # fmt: skip


@pytest.fixture(scope="module")
def raw():
    return PairTokenizer.of(load_checkpoint("beam-sts-nano"))._tokenizer


def _check(raw, texts):
    ids, lengths = WordPieceColumns(raw).encode(pa.array(texts, pa.large_string()))
    ends = np.cumsum(lengths)
    ours = [ids[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]
    assert ours == [e.ids for e in raw.encode_batch_fast(texts, add_special_tokens=False)]


@settings(max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=12).map("".join), max_size=6))
def test_texts_of_awkward_parts_have_the_reference_ids(raw, texts):
    _check(raw, texts)


@settings(max_examples=150)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=6))
def test_any_unicode_has_the_reference_ids(raw, texts):
    _check(raw, texts)


@settings(max_examples=150)
@given(st.lists(st.text(st.characters(codec="ascii"), max_size=60), max_size=6))
def test_any_ascii_has_the_reference_ids(raw, texts):
    _check(raw, texts)


def test_a_slice_of_a_column_is_read_from_its_own_start(raw):
    column = pa.array(["one two", "three four five", "", "six"], pa.large_string())
    ids, lengths = WordPieceColumns(raw).encode(column.slice(1, 3))
    expected = [
        e.ids for e in raw.encode_batch_fast(["three four five", "", "six"], add_special_tokens=False)
    ]
    assert lengths.tolist() == [len(row) for row in expected]
    assert ids.tolist() == [i for row in expected for i in row]


def test_forgetting_words_changes_nothing(raw, monkeypatch):
    monkeypatch.setattr("beam_sts.scoring.wordpiece._MOST_WORDS", 2)
    columns = WordPieceColumns(raw)
    texts = pa.array(
        ["unbelievably xylophonic", "zyzzyva quuxification", "unbelievably quuxification"], pa.large_string()
    )
    first, again = columns.encode(texts), columns.encode(texts)
    assert first[0].tolist() == again[0].tolist()
    assert len(columns._pieces) <= 4


def test_a_tokenizer_that_keeps_case_is_followed(raw):
    cased = Tokenizer.from_str(raw.to_str())
    cased.normalizer = normalizers.BertNormalizer(lowercase=False)
    assert WordPieceColumns.takes(cased)
    _check(cased, ["A Man PLAYS", "a man plays", "[sep] [SEP]"])


def test_other_kinds_of_tokenizers_are_left_to_themselves(raw):
    stripped = Tokenizer.from_str(raw.to_str())
    stripped.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.BertNormalizer()])
    for other in (
        byte_level(roberta=True).backend_tokenizer,
        sentencepiece_like("right").backend_tokenizer,
        stripped,
    ):
        assert not WordPieceColumns.takes(other)

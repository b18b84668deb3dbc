"""Long texts are read in pieces, whose tokens are those of the whole text."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer

from beam_sts import PairScorer
from beam_sts.scoring import cuts, tokens
from beam_sts.scoring.cuts import cut_pattern, cut_positions
from beam_sts.scoring.tokens import PairTokenizer
from tests.architectures import byte_level, sentencepiece_like
from tests.checkpoints import SENTENCES, wordpiece


def _metaspace(scheme):
    tokenizer = Tokenizer.from_str(sentencepiece_like("right").backend_tokenizer.to_str())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return tokenizer


TOKENIZERS = {
    "wordpiece": wordpiece(),
    "byte-level": byte_level(roberta=False).backend_tokenizer,
    "byte-level with a space first": byte_level(roberta=True, add_prefix_space=True).backend_tokenizer,
    "marked spaces": sentencepiece_like("right").backend_tokenizer,
    "metaspace first": _metaspace("first"),
    "metaspace always": _metaspace("always"),
}
# Words, marks, scripts, white space and special tokens in every combination.
PARTS = [
    *" ".join(SENTENCES).split(),
    *" \n\t\u00a0\u3000",
    "  ",
    "\n\n",
    "。",
    "，",
    "今天",
    "it's",
    "e\u0301",
]
PARTS += ["[SEP]", "<mask>", "</s>", "<bos>", "▁", "\u0301", "\x00", "\u200d", "½", "a_b", "3.5%", "🙂", "ﬁ"]
TEXTS = st.lists(st.sampled_from([*PARTS, " ", " ", " "]), max_size=60).map("".join) | st.text(max_size=80)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(text=TEXTS, size=st.integers(1, 30))
def test_the_tokens_of_the_pieces_are_the_tokens_of_the_text(name, text, size):
    tokenizer = TOKENIZERS[name]
    pattern = cut_pattern(tokenizer)
    assert pattern is not None
    ends = cut_positions(text, pattern, size)
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert "".join(pieces) == text
    joined = [i for piece in pieces for i in tokenizer.encode(piece, add_special_tokens=False).ids]
    assert joined == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("name", TOKENIZERS)
def test_ordinary_text_is_cut(name):
    text = " ".join(SENTENCES * 20)
    assert len(cut_positions(text, cut_pattern(TOKENIZERS[name]), 100)) > 20


def test_chinese_without_spaces_is_cut_for_wordpiece():
    assert len(cut_positions(SENTENCES[4] * 50, cut_pattern(TOKENIZERS["wordpiece"]), 50)) > 10


def test_what_could_reach_over_a_cut_is_never_cut():
    spanning = Tokenizer.from_str(TOKENIZERS["wordpiece"].to_str())
    spanning.add_tokens(["new york"])
    stripping = Tokenizer.from_str(TOKENIZERS["wordpiece"].to_str())
    stripping.normalizer = normalizers.Strip()
    unsplit = Tokenizer.from_str(TOKENIZERS["byte-level"].to_str())
    unsplit.pre_tokenizer = pre_tokenizers.ByteLevel(use_regex=False)
    for tokenizer in (spanning, stripping, unsplit):
        assert cut_pattern(tokenizer) is None


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_length", [12, 13])
@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_truncated_pairs_read_in_pieces_have_the_reference_tokenizers_ids(tiny, side, max_length, pairs):
    reference = AutoTokenizer.from_pretrained(
        tiny, padding_side=side, truncation_side=side, model_max_length=max_length
    )
    raw = Tokenizer.from_str(reference.backend_tokenizer.to_str())
    ours = PairTokenizer(raw, max_length, pad_left=side == "left", truncate_left=side == "left")
    options = {"padding": True, "truncation": "longest_first", "return_tensors": "np"}
    expected = reference([a for a, _ in pairs], [b for _, b in pairs], **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_PIECE", 20)
        patch.setattr(tokens, "_LEAST_PIECE", 1)
        batch = _truncated(ours, pairs)
    assert batch.input_ids.tolist() == expected["input_ids"].tolist()


def _truncated(tokenizer, pairs):
    from beam_sts.scoring.long_text import plan_work

    texts = [text for pair in pairs for text in pair]
    a, b = np.arange(0, len(texts), 2), np.arange(1, len(texts), 2)
    work = plan_work(tokenizer, pa.array(texts), a, b, "truncate")
    return tokenizer.assemble(work.table, work.a, work.b, work.kept_a, work.kept_b)


def test_only_the_start_of_a_huge_text_is_read(tiny, monkeypatch):
    scorer = PairScorer(tiny, threads=1)
    huge, long = "a guitar on stage " * 500_000, "a guitar on stage " * 1_000
    read = []
    original = PairTokenizer._pieces
    monkeypatch.setattr(
        PairTokenizer, "_pieces", lambda self, text, size: read.append(original(self, text, size)) or read[-1]
    )
    first, second = scorer.score([(huge, "a dog"), (long, "a dog")])
    assert first == second
    assert (
        sum(map(len, read[0])) > len(huge) - 20_000
    )  # the pieces that remain in the list were not tokenised
    assert scorer.run([huge], ["a dog"]).stats.truncated == 1


def test_of_two_huge_texts_the_longer_keeps_the_odd_token(tiny):
    scorer = PairScorer(tiny, threads=1)
    huge, longer = "a guitar on stage " * 20_000, "fox dog " * 90_000
    long, slightly = "a guitar on stage " * 1_000, "fox dog " * 2_100
    pairs = [(huge, longer), (longer, huge), (long, slightly), (slightly, long)]
    scores = scorer.score(pairs)
    assert scores[0] == scores[2]
    assert scores[1] == scores[3]


def test_a_huge_text_without_a_place_to_cut_fails_alone(tiny, monkeypatch):
    monkeypatch.setattr(tokens, "MAX_PIECE", 1 << 16)
    assert cuts.MAX_PIECE > 1 << 20
    result = PairScorer(tiny, threads=1).run(["a" * 100_000, "a dog"], ["a fox", "a fox"])
    assert result.failures == {0: "text too large: 100,000 characters without a place to cut"}
    assert np.isnan(result.scores[0])
    assert np.isfinite(result.scores[1])


@pytest.mark.parametrize("long_text", ["truncate", "error", "windows"])
def test_a_text_on_which_the_tokenizer_gives_up_is_refused_alone(tiny, tmp_path, long_text):
    """The library's regular expressions have a limit. Beyond it Rust panics, which is not an Exception."""
    folder = shutil.copytree(tiny, tmp_path / "model")
    for name, values in (
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
        (
            "tokenizer.json",
            {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a|aa)+$"}, "content": "x"}},
        ),
    ):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | values))
    scorer = PairScorer(folder, threads=2, long_text=long_text)
    bad = "a" * 100 + "!"
    pairs = [(f"man {i}", "guitar") for i in range(300)]
    pairs[7], pairs[150] = (bad, "x"), ("x", bad)
    result = scorer.run(*zip(*pairs, strict=True))
    assert sorted(result.failures) == [7, 150]
    assert all("the tokenizer fails: Onig" in reason for reason in result.failures.values())
    assert np.isfinite(np.delete(result.scores, [7, 150])).all()

"""Token ids equal the reference tokenizer's on unusual Unicode, in any batches.

Lone surrogates are not tested: they are not valid Unicode, and neither Arrow nor the reference tokenizer
accepts them.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from transformers import AutoTokenizer

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.tokens import PairTokenizer
from tests import architectures
from tests.nasty_texts import nasty_texts

BUILT = {
    "byte-level": architectures.roberta,
    "sentencepiece-like": lambda folder: architectures.gemma3(
        folder, bidirectional=True, padding_side="left"
    ),
}


@dataclass(frozen=True)
class Both:
    """The PairTokenizer and the reference tokenizer of a checkpoint."""

    ours: PairTokenizer
    reference: object

    def ids(self, texts: list[str], keep: int | None = None) -> list[list[int]]:
        table = self.ours.encode(texts, keep)
        return [row.tolist() for row in _split(table)]

    def expected(self, texts: list[str]) -> list[list[int]]:
        return self.reference(texts, add_special_tokens=False)["input_ids"]

    def check(self, texts: list[str]) -> None:
        for text, ids, expected in zip(texts, self.ids(texts), self.expected(texts), strict=True):
            assert ids == expected, ascii(text)


def _split(table):
    return [table.ids[start:stop] for start, stop in zip(table.offsets, table.offsets[1:], strict=False)]


@pytest.fixture(scope="module", params=["beam-sts-nano", "wordpiece", *BUILT])
def both(request, tiny, tmp_path_factory):
    name = tiny if request.param == "wordpiece" else request.param
    if name in BUILT:
        name = BUILT[name](tmp_path_factory.mktemp(name))
    checkpoint = load_checkpoint(name)
    reference = AutoTokenizer.from_pretrained(checkpoint.path, model_max_length=10**9)
    return Both(PairTokenizer.of(checkpoint), reference)


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)], ids=["5k", "100k"])
def test_ids_are_the_reference_tokenizers(both, count):
    texts = nasty_texts(count, seed=count)
    for start in range(0, count, 4096):  # in blocks like the scorer's
        both.check(texts[start : start + 4096])


def test_ids_do_not_depend_on_what_else_is_in_the_batch(both):
    texts = nasty_texts(1_500, seed=1)
    together = dict(zip(texts, both.ids(texts), strict=True))
    shuffled = random.Random(2).sample(texts, len(texts))
    assert dict(zip(shuffled, both.ids(shuffled), strict=True)) == together
    alone = random.Random(3).sample(texts, 300)
    assert [both.ids([text])[0] for text in alone] == [together[text] for text in alone]


def test_only_ascii_only_other_and_mixed_batches(both):
    texts = nasty_texts(2_000, seed=4)
    plain = [text for text in texts if text.isascii()]
    other = [text for text in texts if not text.isascii()]
    assert min(len(plain), len(other)) > 300
    for batch in (plain, other, [*plain[:50], *other[:1], *plain[50:100]], [*other[:50], *plain[:1]]):
        both.check(batch)
    assert both.ids([]) == []


def test_words_around_the_longest_that_wordpiece_takes(both):
    words = [letter * length for length in range(90, 112) for letter in ("a", "Q", "7", "é", "字", "\u0301")]
    words += [f"{word[:-1]}{end}" for word in words[:60] for end in (".", "-", " ", "\x00", "\u200d", "İ")]
    both.check(words)
    both.check([f"a man {word} plays" for word in words])


def test_a_text_that_is_read_in_part_has_the_first_ids_of_the_whole(both):
    rng = random.Random(5)
    texts = nasty_texts(3_000, seed=6)
    long = [" ".join(rng.choices(texts, k=400)) for _ in range(12)]
    assert min(map(len, long)) > 8_192
    for ids, expected in zip(both.ids(long, keep=100), both.expected(long), strict=True):
        assert len(ids) >= 100
        assert ids == expected[: len(ids)]


def test_several_threads_share_one_tokenizer(both):
    texts = nasty_texts(1_200, seed=7)
    expected = both.ids(texts)
    with ThreadPoolExecutor(4) as pool:
        assert all(ids == expected for ids in pool.map(both.ids, [texts] * 8))

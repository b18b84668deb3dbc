"""Tests of the answers of a language model: ``assert_similar``. Works with pytest and without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beam_sts.evaluation.rules import AnswerScores, answer_scores, default_scorer
from beam_sts.plurals import plural
from beam_sts.word_diff import word_diff

Texts = str | Sequence[str]
_SHOWN = 5  # failures that a message shows
_WORDS = 400  # of a text that a message shows; a diff takes time quadratic in them


def assert_similar(
    actual: Texts,
    expected: Texts | Sequence[Texts],
    *,
    at_least: float = 0.7,
    scorer: AnswerScores | None = None,
    rule: str = "answer",
) -> None:
    """Assert that texts mean what is expected, in whatever words.

    Args:
        actual: one text, or a sequence of texts.
        expected: for one text, a reference or several references, of which the best counts; for several
            texts, a sequence with one such entry for each text.
        at_least: the lowest score that passes, from 0 to 1.
        scorer: a ``PairScorer``. By default the embedded model, loaded once in a process.
        rule: ``answer`` or ``similarity``, as in ``beam_sts.evaluation.rules``.

    Raises:
        AssertionError: a text scores lower. The message has each such score, both texts and their difference.
        TypeError: a value is not a text.
        ValueError: there is nothing to compare, or the numbers of texts and references differ.

    >>> assert_similar("The capital is Paris, as far as I know.", "Paris")
    >>> assert_similar("It costs 1500 dollars.", ["It is free.", "It costs $1,500."])
    """
    __tracebackhide__ = True  # so that pytest shows the line of the test
    texts, references = _lists(actual, expected)
    pairs = [(row, reference) for row, several in enumerate(references) for reference in several]
    answers = [_encodable(texts[row]) for row, _ in pairs]
    wanted = [_encodable(reference) for _, reference in pairs]
    scores = answer_scores(answers, wanted, scorer or default_scorer(), rule)
    best: dict[int, tuple[float, str]] = {}
    for (row, reference), score in zip(pairs, scores.tolist(), strict=True):
        if row not in best or not score <= best[row][0]:
            best[row] = score, reference
    # The negated comparison counts NaN as a failure.
    failed = [(row, *found) for row, found in best.items() if not found[0] >= at_least]
    if failed:
        raise AssertionError(_message(texts, references, failed, at_least))


def _encodable(text: str) -> str:
    """Replace lone surrogates, which the tokenizer cannot encode."""
    return text.encode("utf-8", "replace").decode()


def _lists(actual: Texts, expected: Texts | Sequence[Texts]) -> tuple[Sequence[str], list[Sequence[str]]]:
    """Check the arguments, and return the texts and the references of each.

    Raises:
        TypeError: a value is not a text.
        ValueError: there is nothing to compare, or the numbers of texts and references differ.
    """
    for name, given in (("actual", actual), ("expected", expected)):
        if not isinstance(given, Sequence):
            raise TypeError(
                f"{name} is {given!r:.80}, a {type(given).__name__}, not a text or a list of texts"
            )
    texts: list[Any]
    several: list[Any]
    if isinstance(actual, str):
        texts, several = [actual], [expected]
    else:
        texts, several = list(actual), [] if isinstance(expected, str) else list(expected)
        if len(texts) != len(several):
            counts = f"{plural(len(texts), 'text')} and {plural(len(several), 'reference')}"
            raise ValueError(f"there are {counts}; give one for each")
    references: list[Sequence[Any]] = [
        each if isinstance(each, (list, tuple)) else [each] for each in several
    ]
    for name, found in (("actual", texts), ("expected", [text for each in references for text in each])):
        for text in found:
            if not isinstance(text, str):
                raise TypeError(f"{name} holds {text!r:.80}, a {type(text).__name__}, not a text")
    if not texts or not all(references):
        raise ValueError("there is nothing to compare: a list is empty")
    return texts, references


def _message(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    failed: Sequence[tuple[int, float, str]],
    at_least: float,
) -> str:
    lines = [f"{len(failed)} of {len(texts)} texts score below {at_least:g}"]
    for row, score, reference in failed[:_SHOWN]:
        several = len(references[row])
        lines += [
            f"[{row}] score {score:.3f}" + (f", the best of {several} references" if several > 1 else ""),
            f"  actual:   {_shown(texts[row])}",
            f"  expected: {_shown(reference)}",
            f"  diff:     {_difference(reference, texts[row])}",
        ]
    more = len(failed) - _SHOWN
    return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def _shown(text: str) -> str:
    """A text as a literal: on one line, without characters that control a terminal."""
    words = text.split(" ")
    return (
        repr(text)
        if len(words) <= _WORDS
        else repr(" ".join(words[:_WORDS])) + f" and {len(words) - _WORDS} words"
    )


def _difference(reference: str, text: str) -> str:
    """The difference word by word: [-only expected-], {+only actual+}."""
    one, two = ([repr(word)[1:-1] for word in each.split()[:_WORDS]] for each in (reference, text))
    return word_diff(one, two)

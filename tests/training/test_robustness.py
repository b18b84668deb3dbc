"""The probes of robustness: what they ask, and that no training pair was made from the same words."""

import re
from itertools import pairwise

import numpy as np
import pytest

from beam_sts.training import robustness
from beam_sts.training.facts import fact_pairs
from beam_sts.training.forms import form_pairs
from beam_sts.training.grammars import read_grammars, read_words, word_list
from beam_sts.training.leakage import plain_words
from beam_sts.training.probe_values import another_digit, transposed
from beam_sts.training.robustness import FACTS, FORMS, robustness_report, robustness_triples

TRIPLES = robustness_triples()
SENTENCES = [
    "The man must not open the door.",
    "She is not here because of the doctor.",
    "Many people live without water.",
    "They were late for the meeting on Monday.",
    "He wants to buy a big house near the road.",
]


def texts_of(value):
    """All strings of a file of words."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value
    return [] if isinstance(value, int) else [text for part in inner for text in texts_of(part)]


def runs(texts, length=4):
    """Runs of consecutive words of texts; a slot or a mark ends a run."""
    found = set()
    for text in texts:
        for part in re.split(r"[{\[][^}\]]*[}\]]|[|;:,.!?()]+", text.lower()):
            words = part.split()
            found |= {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
    return found


def test_every_class_has_both_halves_and_they_share_no_text():
    dev, test = (robustness_triples(half) for half in robustness.HALVES)
    assert sorted(map(repr, dev + test)) == sorted(map(repr, TRIPLES))
    for triples in (dev, test):
        assert list(dict.fromkeys(t.kind for t in triples)) == [*FACTS, *FORMS]
    asked = [{t.anchor for t in triples} for triples in (dev, test)]
    assert not asked[0] & asked[1]
    with pytest.raises(ValueError, match="half is 'all'"):
        robustness_triples("all")


def test_each_near_copy_differs_and_each_same_text_is_another_form():
    for triple in TRIPLES:
        assert triple.other not in (triple.anchor, triple.paraphrase), triple
        assert (triple.paraphrase == triple.anchor) == (triple.kind == "identical"), triple
        assert not re.search(r"\{[a-z]\}", triple.anchor + triple.paraphrase + triple.other)


def test_half_of_the_codes_differ_only_in_the_order_of_their_characters():
    codes = [t for t in TRIPLES if t.kind in ("code", "phone", "number")]
    same_bag = [sorted(t.anchor) == sorted(t.other) for t in codes]
    assert 0.3 < np.mean(same_bag) < 0.7


def test_changed_values_keep_their_kinds_of_characters():
    from random import Random

    for seed in range(200):
        text = transposed("AB-4712", Random(seed))
        assert sorted(text) == sorted("AB-4712")
        assert [c.isdigit() for c in text] == [c.isdigit() for c in "AB-4712"]
        assert another_digit("40", Random(seed))[0] != "0"
    assert transposed("1-1", Random(0)) is None


def test_frames_of_probes_share_no_four_words_with_those_of_training():
    probes = texts_of(read_words("probe_facts")) + texts_of(read_words("probe_forms"))
    trained = [text for name in ("facts", "forms", "senses") for text in texts_of(read_words(name))]
    for name in ("training", "roles", "deeds", "swaps"):
        trained += [text for g in read_grammars(name) for text in g.wordings + g.opposite]
    assert not runs(probes) & runs(trained)


def test_open_word_lists_are_apart():
    fills = read_words("probe_facts")["fills"]
    trained = set(word_list("first_names")) | set(word_list("persons")) | set(word_list("beasts"))
    assert not trained & {*fills["given"], *fills["role"]}
    names = {*read_words("facts")["identifiers"].split()}
    assert len(names & {*read_words("probe_forms")["identifiers"]}) == 0


@pytest.mark.parametrize(
    ("kind", "file", "name"), [("abbreviation", "forms", "short"), ("synonym", "facts", "kept")]
)
def test_no_pair_of_words_of_a_probe_is_in_the_lists_of_training(kind, file, name):
    def has(text, words):
        return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None

    for triple in (t for t in TRIPLES if t.kind == kind):
        a, b = triple.anchor.lower(), triple.paraphrase.lower()
        for entry in read_words(file)[name]:
            for one, two in ((entry.lower().split(" | ")), (entry.lower().split(" | ")[::-1])):
                learnt = has(a, one) and has(b, two) and not has(b, one) and not has(a, two)
                assert not learnt, (entry, triple)


def test_training_pairs_have_no_text_of_the_probes():
    asked = {plain_words(text) for t in TRIPLES for text in (t.anchor, t.paraphrase, t.other)} - {""}
    made = fact_pairs(SENTENCES, 4000, seed=1) + form_pairs(SENTENCES, 2000, seed=1)
    assert not asked & {plain_words(text) for one, two, _ in made for text in (one, two)}


def test_the_report_tells_a_perfect_model_from_a_constant_one():
    ones = np.ones(len(TRIPLES))
    perfect = robustness_report(TRIPLES, ones, 0 * ones)
    assert all(row["right"] == 1 and row["other_high"] == 0 for row in perfect.values())
    constant = robustness_report(TRIPLES, ones, ones)
    assert all(row["right"] == 0 and row["other_high"] == 1 for row in constant.values())


def test_a_class_does_not_change_with_the_number_of_another():
    few = robustness_triples("dev", per_class=5)
    for kind in (*FACTS, *FORMS):
        first = [t for t in few if t.kind == kind]
        assert first == [t for t in robustness_triples("dev") if t.kind == kind][: len(first)]
    assert all(a != b for a, b in pairwise(few))

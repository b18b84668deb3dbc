import pytest

from beam_sts.dedup.kinds import KINDS, kind_of_difference


@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [
        ("The bridge cost 3 million euros.", "The bridge cost 3 billion euros.", "numbers"),
        ("The bridge is open.", "The bridge is not open.", "facts"),
        (
            "A short note.",
            "A short note. " + "Then come many other things that it lacks, one by one.",
            "lost text",
        ),
        ("Tomatoes need sun.", "Помидорам нужно солнце.", "script"),
        ("Tomatoes need sun.", "tomatoes  need sun", "wording"),
        ("", "", "wording"),
    ],
)
def test_a_pair_is_of_one_kind_in_either_order(one, two, kind):
    assert kind in KINDS
    assert kind_of_difference(one, two) == kind_of_difference(two, one) == kind

"""More facts, of who does what to whom and of the same things in other states: what a small model learns last."""

# ruff: noqa: E501  (frames read better one to a line)

from __future__ import annotations

from collections.abc import Iterator

from beam_sts.training.edits import _ANIMALS, _CITIES, _COMPANIES, _GIVEN, _PEOPLE, Grammar

# (past, participle, -ing form)
_VERBS = (
    ("kicked", "kicked", "kicking"), ("visited", "visited", "visiting"), ("thanked", "thanked", "thanking"),
    ("attacked", "attacked", "attacking"), ("ignored", "ignored", "ignoring"), ("rescued", "rescued", "rescuing"),
    ("caught", "caught", "catching"), ("fed", "fed", "feeding"), ("invited", "invited", "inviting"),
    ("painted", "painted", "painting"), ("robbed", "robbed", "robbing"), ("arrested", "arrested", "arresting"),
    ("photographed", "photographed", "photographing"), ("met", "met", "meeting"), ("led", "led", "leading"),
    ("hired", "hired", "hiring"), ("questioned", "questioned", "questioning"), ("hugged", "hugged", "hugging"),
    ("drew", "drawn", "drawing"), ("ate", "eaten", "eating"), ("hunted", "hunted", "hunting"),
    ("pulled", "pulled", "pulling"), ("lifted", "lifted", "lifting"), ("bothered", "bothered", "bothering"),
    ("recognised", "recognised", "recognising"), ("told", "told", "telling"), ("shot", "shot", "shooting"),
    ("greeted", "greeted", "greeting"), ("replaced", "replaced", "replacing"), ("joined", "joined", "joining"),
)  # fmt: skip
_MORE_LESS = (
    ("richer", "poorer", "rich"), ("stronger", "weaker", "strong"), ("faster", "slower", "fast"),
    ("heavier", "lighter", "heavy"), ("bigger", "smaller", "big"), ("earlier", "later", "early"),
)  # fmt: skip

_THINGS = (
    "letter", "boat", "table", "lamp", "fence", "cupboard", "suitcase", "picture", "carpet", "bottle", "ladder",
    "garden", "wallet", "bicycle", "curtain", "coat", "mirror", "basket", "chair", "barn",
)  # fmt: skip
# (past, participle, and the same of what else may be done with a thing)
_DEEDS = (
    ("washed", "washed", "broke", "broken"), ("bought", "bought", "lost", "lost"), ("painted", "painted", "hid", "hidden"),
    ("found", "found", "burned", "burned"), ("cleaned", "cleaned", "sold", "sold"), ("opened", "opened", "shut", "shut"),
    ("lifted", "lifted", "dropped", "dropped"), ("bought", "bought", "sold", "sold"), ("lost", "lost", "found", "found"),
    ("filled", "filled", "emptied", "emptied"), ("fixed", "fixed", "smashed", "smashed"), ("kept", "kept", "threw away", "thrown away"),
    ("drew", "drawn", "measured", "measured"), ("carried", "carried", "photographed", "photographed"),
    ("built", "built", "tore down", "torn down"), ("covered", "covered", "moved", "moved"),
)  # fmt: skip
_STATES = (
    ("new", "old"), ("cheap", "expensive"), ("clean", "dirty"), ("full", "empty"), ("heavy", "light"), ("strong", "weak"),
    ("black", "white"), ("large", "tiny"), ("beautiful", "ugly"), ("round", "square"), ("wooden", "plastic"), ("safe", "dangerous"),
)  # fmt: skip
# What goes up and down, and wordings of either.
_AMOUNTS = ("sales", "profits", "exports", "wages", "taxes", "rents")
_MOVES = (
    (("rose", "went up", "an increase"), ("fell", "went down", "a decrease")),
    (("climbed", "increased", "growth"), ("dropped", "decreased", "a decline")),
    (("grew", "rose", "a gain"), ("shrank", "fell", "a loss")),
)
# (a deed done by someone to an undertaking, its participle, and the opposite of both)
_DECISIONS = (
    ("approved", "approved", "refused", "refused"), ("started", "started", "stopped", "stopped"),
    ("supported", "supported", "opposed", "opposed"), ("remembered", "remembered", "forgot", "forgotten"),
    ("praised", "praised", "criticised", "criticised"), ("extended", "extended", "shortened", "shortened"),
    ("welcomed", "welcomed", "feared", "feared"), ("announced", "announced", "cancelled", "cancelled"),
    ("loved", "loved", "hated", "hated"), ("permitted", "permitted", "forbade", "forbidden"),
)  # fmt: skip
_UNDERTAKINGS = (
    "plan", "project", "journey", "party", "reform", "strike", "game", "experiment", "campaign", "visit", "concert",
)  # fmt: skip

_WHO: tuple[tuple[str, ...], ...] = (_PEOPLE, _ANIMALS, _GIVEN)
_NAMED: tuple[tuple[str, ...], ...] = (_GIVEN, _CITIES, _COMPANIES)


def _grammars() -> Iterator[Grammar]:
    for past, participle, doing in _VERBS:
        for group in _WHO:
            article = "" if group is _GIVEN else "the "
            slots = {"a": group, "b": group}
            yield Grammar(
                "order",
                (
                    f"{article}{{a}} {past} {article}{{b}}",
                    f"{article}{{b}} was {participle} by {article}{{a}}",
                    f"{article}{{b}} got {participle} by {article}{{a}}",
                    f"yesterday {article}{{a}} {past} {article}{{b}}",
                    f"yesterday {article}{{b}} was {participle} by {article}{{a}}",
                ),
                slots,
                ("a", "b"),
            )
            one = "" if group is _GIVEN else "a "
            yield Grammar(
                "order",
                (
                    f"{one}{{a}} is {doing} {one}{{b}}",
                    f"{one}{{b}} is being {participle} by {one}{{a}}",
                    f"there is {one}{{a}} {doing} {one}{{b}}",
                ),
                slots,
                ("a", "b"),
            )
    for more, less, plain in _MORE_LESS:
        for group in _NAMED:
            yield Grammar(
                "order",
                (
                    f"{{a}} is {more} than {{b}}",
                    f"{{b}} is {less} than {{a}}",
                    f"{{b}} is not as {plain} as {{a}}",
                ),
                {"a": group, "b": group},
                ("a", "b"),
            )
    for give, get, thing, other in (
        ("sold", "bought", "a car", "a car"), ("sent", "got", "a letter", "a letter"), ("handed", "got", "a cup", "a cup"),
        ("gave", "was given", "a book", "a book"), ("showed", "was shown", "a photo", "a picture"),
        ("brought", "was brought", "some soup", "soup"), ("offered", "was offered", "a job", "a position"),
    ):  # fmt: skip
        link = "by" if get.startswith("was") else "from"
        yield Grammar(
            "order",
            (
                f"{{a}} {give} {{b}} {thing}.",
                f"{{b}} {get} {other} {link} {{a}}.",
                f"{{a}} {give} {thing} to {{b}}.",
            ),
            {"a": _GIVEN, "b": _GIVEN},
            ("a", "b"),
        )
    for go, leave, thing in (
        ("drove", "left", "bus"),
        ("flew", "departed from", "plane"),
        ("sailed", "left", "ferry"),
    ):
        yield Grammar(
            "order",
            (f"The {thing} {go} from {{c}} to {{d}}.", f"The {thing} {leave} {{c}} and came to {{d}}.",
             f"The {thing} to {{d}} came from {{c}}."),
            {"c": _CITIES, "d": _CITIES},
            ("c", "d"),
        )  # fmt: skip


def _deed(past: str, participle: str, thing: str) -> tuple[str, ...]:
    return (
        f"The {{a}} {past} the {thing}.",
        f"The {thing} was {participle} by the {{a}}.",
        f"It was the {{a}} who {past} the {thing}.",
        f"On Tuesday the {{a}} {past} the {thing}.",
        f"On Tuesday the {thing} was {participle} by the {{a}}.",
    )


def _other_facts() -> Iterator[Grammar]:
    undergone: tuple[tuple[tuple[tuple[str, ...], ...], tuple[str, ...]], ...] = (
        (_DEEDS, _THINGS),
        (_DECISIONS, _UNDERTAKINGS),
    )
    for deeds, what in undergone:
        for past, participle, other, other_participle in deeds:
            slots = {"a": _PEOPLE, "b": what}
            said, instead = _deed(past, participle, "{b}"), _deed(other, other_participle, "{b}")
            yield Grammar("topic", said, slots, (), instead)
            yield Grammar("topic", instead, slots, (), said)
    for pair in _STATES:
        for state, other_state in (pair, pair[::-1]):
            said, instead = (
                (f"The {{b}} is {word}.", f"This is a {word} {{b}}.", f"{{a}} has a {{b}} that is {word}.")
                for word in (state, other_state)
            )
            yield Grammar("topic", said[:2], {"b": _THINGS}, (), instead[:2])
            owned = (said[2], f"{{a}}'s {{b}} is {state}.")
            yield Grammar(
                "topic",
                owned,
                {"a": _GIVEN, "b": _THINGS},
                (),
                (instead[2], f"{{a}}'s {{b}} is {other_state}."),
            )
    for up, down in _MOVES:
        for words, opposite in ((up, down), (down, up)):
            said, instead = (
                (
                    f"{{b}} at {{k}} {verb}.",
                    f"{{k}} says its {{b}} {other}.",
                    f"There was {noun} in {{b}} at {{k}}.",
                )
                for verb, other, noun in (words, opposite)
            )
            yield Grammar("topic", said, {"b": _AMOUNTS, "k": _COMPANIES}, (), instead)


ROLE_GRAMMARS: tuple[Grammar, ...] = (*_grammars(), *_other_facts())
"""Beside :data:`beam_sts.training.edits.TRAINING_GRAMMARS`, with no frame or slot word of the probes either."""

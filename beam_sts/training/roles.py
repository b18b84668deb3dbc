"""More facts of who does what to whom, for fine-tuning: the class that a small model learns last."""

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


ROLE_GRAMMARS: tuple[Grammar, ...] = tuple(_grammars())
"""Beside :data:`beam_sts.training.edits.TRAINING_GRAMMARS`, with no frame or slot word of the probes either."""

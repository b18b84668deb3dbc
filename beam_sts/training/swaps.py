"""Facts whose two parties can be exchanged, in many words and frames: what fine-tuning teaches of word order.

A model that has seen thirty verbs with fifty nouns knows those by heart. Here hundreds of names and nouns meet
in more than a thousand grammars, so that reading who is where is cheaper than remembering.
"""

# ruff: noqa: E501  (word lists and frames read better one to a line)

from __future__ import annotations

from collections.abc import Iterator, Sequence

from beam_sts.training.edits import _ANIMALS, _CITIES, _COMPANIES, _GIVEN, _PEOPLE, Grammar


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PERSONS = _PEOPLE + _words(
    "actor architect artist author banker barber biker boxer builder carpenter cashier child climber clown cook critic "
    "dancer dentist designer detective diver doctor editor engineer explorer fisherman gardener general guest guide hunter "
    "inspector janitor journalist king knight lady landlord librarian magician mechanic merchant minister monk neighbour "
    "officer plumber poet policeman porter postman president prince princess prisoner professor queen referee runner "
    "scientist secretary shepherd shopkeeper skater sculptor stranger surgeon swimmer tailor tenant trainer tutor "
    "veteran violinist visitor witness worker writer"
)
_BEASTS = _ANIMALS + _words(
    "beaver buffalo camel chicken crab crocodile crow deer dolphin donkey eagle falcon frog giraffe goose hamster hawk "
    "hedgehog jaguar kitten lizard mouse otter owl panda parrot peacock penguin pig pony puppy rabbit raven seal shark "
    "spider squirrel swan turkey turtle weasel whale zebra"
)
_FIRST_NAMES = _GIVEN + _words(
    "Adam Agnes Ahmed Alan Albert Alice Amir Amy Andrea Andrew Antonio Arthur Astrid Barbara Beatrice Benjamin Bianca Boris "
    "Camila Carla Caroline Charles Chen Chloe Christine Claudia Daniel Daria David Deborah Dennis Donald Dora Edith Elena Eli "
    "Emily Emma Eric Esther Eva Farid Felix Fiona Francis Frank Gabriel Gloria Greta Gustav Hamid Harold Harry Hassan Heidi "
    "Henry Hiro Irene Isabel Ivan Jack Jacob James Jane Jasmin Jens Jonas Joseph Julia Karim Karl Kate Kenji Kevin Lara Laura "
    "Lena Leo Linda Louis Lucy Luis Magda Marco Margaret Mark Martha Matteo Michael Miguel Milena Monica Natalie Noah Nora "
    "Oliver Olga Oscar Pablo Patricia Paul Philip Priya Rachel Rafael Ravi Rebecca Richard Robert Roland Ruth Samuel Sandra "
    "Sarah Sergei Simon Stella Tania Theo Thomas Tom Ursula Vera Vincent Wei William Yusuf Zoe"
)
_TOWNS = _CITIES + _words(
    "Algiers Amsterdam Ankara Antwerp Atlanta Auckland Austin Baghdad Baltimore Bangkok Barcelona Basel Beijing Beirut "
    "Belgrade Bergen Birmingham Bordeaux Bremen Brisbane Bristol Brussels Bucharest Budapest Calgary Caracas Cardiff "
    "Casablanca Chennai Cologne Copenhagen Dakar Dallas Damascus Detroit Dresden Dubai Edinburgh Florence Frankfurt Genoa "
    "Glasgow Hamburg Hanoi Havana Helsinki Istanbul Jakarta Johannesburg Kabul Karachi Kiev Krakow Lagos Leeds Leipzig Lyon "
    "Manchester Manila Marseille Melbourne Memphis Miami Minsk Montreal Moscow Munich Naples Osaka Ottawa Perth Phoenix "
    "Quito Riga Rotterdam Salzburg Santiago Seattle Seville Shanghai Singapore Stockholm Tehran Toulouse Tunis Turin "
    "Valencia Vancouver Venice Vilnius Winnipeg Yokohama Zagreb"
)
_FIRMS = _COMPANIES + _words(
    "Altora Axion Belmont Cobalt Corvus Delphi Elgin Ferrum Granite Helix Ionic Juniper Kestrel Lumen Magnus Norvik Orbis "
    "Pinnacle Radian Solaris Tandem Umbra Valor Westgate Xenon Zephyr"
)
_OBJECTS = _words(
    "bag ball basket bottle bowl box brush bucket candle card clock comb cup drum flag flute fork glass glove hammer hat "
    "helmet jar jug kettle key knife ladder lamp map mirror mug newspaper notebook pan parcel pen phone pillow plate radio "
    "ring rope scarf shoe shovel spoon stone sweater towel toy umbrella vase wallet watch whistle"
)


def _verbs() -> Iterator[tuple[str, str, str, str]]:
    """Past, participle, -ing form and present."""
    for stem in _words(
        "abandon alert annoy answer appoint avoid befriend block challenge cheer comfort confront consult convince corner "
        "cure defend detain disturb employ encourage entertain examine film flatter guide harass heal honour humiliate "
        "imitate impress inspire insult interrupt interview kiss lick mock nudge obey offend outsmart pass persuade pester "
        "phone poison poke protect provoke punish pursue record reject remind represent reward salute scold scratch "
        "search shield shock sketch slap splash spray startle surprise surround tackle target tease threaten tickle touch "
        "track trap treat trick trust wash welcome"
    ):
        root = stem.removesuffix("e")
        third = f"{stem}es" if stem.endswith(("s", "ch", "sh")) else f"{stem}s"
        yield f"{root}ed", f"{root}ed", f"{root}ing", third
    yield from (
        ("chose", "chosen", "choosing", "chooses"), ("forgave", "forgiven", "forgiving", "forgives"),
        ("fought", "fought", "fighting", "fights"), ("heard", "heard", "hearing", "hears"),
        ("held", "held", "holding", "holds"), ("left behind", "left behind", "leaving behind", "leaves behind"),
        ("overtook", "overtaken", "overtaking", "overtakes"), ("paid", "paid", "paying", "pays"),
        ("sought", "sought", "seeking", "seeks"), ("stung", "stung", "stinging", "stings"),
        ("struck", "struck", "striking", "strikes"), ("swept aside", "swept aside", "sweeping aside", "sweeps aside"),
        ("understood", "understood", "understanding", "understands"), ("woke", "woken", "waking", "wakes"),
        ("spied on", "spied on", "spying on", "spies on"), ("laughed at", "laughed at", "laughing at", "laughs at"),
        ("looked after", "looked after", "looking after", "looks after"), ("shouted at", "shouted at", "shouting at", "shouts at"),
        ("talked about", "talked about", "talking about", "talks about"), ("waved at", "waved at", "waving at", "waves at"),
        ("voted for", "voted for", "voting for", "votes for"), ("knocked down", "knocked down", "knocking down", "knocks down"),
    )  # fmt: skip


_WHEN = (
    "in the park",
    "last night",
    "on Friday",
    "after lunch",
    "at the station",
    "twice",
    "near the river",
    "in public",
)


def _order(wordings: Sequence[str], group: tuple[str, ...]) -> Grammar:
    return Grammar("order", tuple(wordings), {"a": group, "b": group}, ("a", "b"))


def _deeds() -> Iterator[Grammar]:
    for index, (past, participle, doing, does) in enumerate(_verbs()):
        for group in (_PERSONS, _BEASTS, _FIRST_NAMES):
            named = group is _FIRST_NAMES
            the, a, start, one = ("", "", "", "") if named else ("the ", "a ", "The ", "A ")
            when = _WHEN[(index + len(group)) % len(_WHEN)]
            yield _order(
                (
                    f"{start}{{a}} {past} {the}{{b}}.",
                    f"{start}{{b}} was {participle} by {the}{{a}}.",
                    f"{start}{{b}} has been {participle} by {the}{{a}}.",
                    f"{start}{{a}} has {participle} {the}{{b}}.",
                    f"It was {the}{{a}} who {past} {the}{{b}}.",
                ),
                group,
            )
            yield _order(
                (
                    f"{start}{{a}} {past} {the}{{b}} {when}.",
                    f"{start}{{b}} was {participle} {when} by {the}{{a}}.",
                    f"{when.capitalize()}, {the}{{a}} {past} {the}{{b}}.",
                    f"{when.capitalize()}, {the}{{b}} was {participle} by {the}{{a}}.",
                ),
                group,
            )
            yield _order(
                (
                    f"{one}{{a}} {does} {a}{{b}}.",
                    f"{one}{{b}} is {participle} by {a}{{a}}.",
                    f"{one}{{b}} gets {participle} by {a}{{a}}.",
                ),
                group,
            )
            yield _order(
                (
                    f"{start}{{a}} is {doing} {the}{{b}}.",
                    f"{start}{{b}} is being {participle} by {the}{{a}}.",
                    f"We see {the}{{a}} {doing} {the}{{b}}.",
                ),
                group,
            )


_COMPARED = (
    ("braver", "more timid", "brave"), ("brighter", "duller", "bright"), ("calmer", "more nervous", "calm"),
    ("cheaper", "more expensive", "cheap"), ("cleverer", "less clever", "clever"), ("fatter", "thinner", "fat"),
    ("happier", "sadder", "happy"), ("kinder", "more cruel", "kind"), ("louder", "quieter", "loud"),
    ("luckier", "unluckier", "lucky"), ("more famous", "less famous", "famous"), ("more polite", "ruder", "polite"),
    ("noisier", "more silent", "noisy"), ("nicer", "nastier", "nice"), ("wiser", "more foolish", "wise"),
    ("more careful", "more careless", "careful"),
)  # fmt: skip
_COMPARED_TOWNS = (
    ("warmer", "colder", "warm"), ("cleaner", "dirtier", "clean"), ("safer", "more dangerous", "safe"),
    ("greener", "less green", "green"), ("newer", "older", "new"), ("more crowded", "emptier", "crowded"),
    ("drier", "wetter", "dry"), ("more modern", "less modern", "modern"),
)  # fmt: skip


def _comparisons() -> Iterator[Grammar]:
    for group, compared in ((_FIRST_NAMES, _COMPARED), (_TOWNS, _COMPARED_TOWNS), (_FIRMS, _COMPARED_TOWNS)):
        for more, less, plain in compared:
            yield _order(
                (
                    f"{{a}} is {more} than {{b}}.",
                    f"{{b}} is {less} than {{a}}.",
                    f"{{b}} isn't as {plain} as {{a}}.",
                    f"Compared to {{b}}, {{a}} is {more}.",
                ),
                group,
            )
    for more, less, plain in (*_COMPARED[:8], ("bigger", "smaller", "big"), ("faster", "slower", "fast")):
        for group in (_PERSONS, _BEASTS):
            yield _order(
                (
                    f"The {{a}} is {more} than the {{b}}.",
                    f"The {{b}} is {less} than the {{a}}.",
                    f"The {{b}} is less {plain} than the {{a}}.",
                ),
                group,
            )


def _transfers() -> Iterator[Grammar]:
    for give, get in (
        ("lent", "borrowed"), ("mailed", "got"), ("passed", "took"), ("threw", "caught"), ("sold", "bought"),
        ("returned", "got back"), ("handed", "took"), ("gave", "got"), ("donated", "accepted"), ("left", "inherited"),
        ("awarded", "won"), ("paid back", "collected"),
    ):  # fmt: skip
        for group, the in ((_FIRST_NAMES, ""), (_PERSONS, "the ")):
            start = the.capitalize()
            yield Grammar(
                "order",
                (
                    f"{start}{{a}} {give} the {{t}} to {the}{{b}}.",
                    f"{start}{{b}} {get} the {{t}} from {the}{{a}}.",
                    f"From {the}{{a}}, {the}{{b}} {get} the {{t}}.",
                    f"The {{t}} went from {the}{{a}} to {the}{{b}}.",
                ),
                {"a": group, "b": group, "t": _OBJECTS},
                ("a", "b"),
            )


def _journeys() -> Iterator[Grammar]:
    frames: tuple[str, ...] = (
        "The {v} runs from {c} to {d}.", "The {v} from {c} arrives in {d}.", "The {v} departs {c} bound for {d}.",
        "The {v} sets off in {c} and ends in {d}.", "Coming from {c}, the {v} reaches {d}.", "A {v} takes them from {c} to {d}.",
        "They board the {v} in {c} and get off in {d}.", "The {v} for {d} sets out from {c}.",
    )  # fmt: skip
    for vehicle in _words(
        "bus tram ferry ship plane lorry coach boat taxi convoy van helicopter balloon express"
    ):
        yield Grammar(
            "order",
            tuple(frame.replace("{v}", vehicle) for frame in frames),
            {"c": _TOWNS, "d": _TOWNS},
            ("c", "d"),
        )
    for frames in (
        ("{a} moved from {c} to {d}.", "{a} left {c} and settled in {d}.", "{a} lived in {c} before moving to {d}.", "From {c}, {a} moved to {d}."),
        ("{a} walked from {c} to {d}.", "{a} set out in {c} and walked to {d}.", "On foot, {a} came from {c} to {d}."),
        ("{a} phoned {d} from {c}.", "From {c}, {a} made a call to {d}.", "{a}, who was in {c}, called {d}."),
        ("The letter was sent from {c} to {d} by {a}.", "{a} posted the letter in {c} and it came to {d}.", "In {d} they got the letter that {a} sent from {c}."),
        ("The road leads {a} from {c} into {d}.", "{a} follows the road out of {c} to {d}.", "The road that {a} takes begins at {c} and ends at {d}."),
    ):  # fmt: skip
        yield Grammar("order", frames, {"a": _FIRST_NAMES, "c": _TOWNS, "d": _TOWNS}, ("c", "d"))


def _relations() -> Iterator[Grammar]:
    frames: tuple[str, ...]
    for role, other in (
        ("mother", "child"), ("father", "child"), ("boss", "employee"), ("teacher", "pupil"), ("uncle", "nephew"),
        ("owner", "tenant"), ("mentor", "student"), ("grandmother", "grandson"), ("doctor", "patient"), ("lawyer", "client"),
    ):  # fmt: skip
        yield _order(
            (
                f"{{a}} is the {role} of {{b}}.",
                f"{{b}} is the {other} of {{a}}.",
                f"{{b}}'s {role} is {{a}}.",
                f"{{a}}'s {other} is {{b}}.",
            ),
            _FIRST_NAMES,
        )
    for frames in (
        ("{a} sued {b}.", "{b} was sued by {a}.", "{b} faces a lawsuit from {a}."),
        ("{a} supplies parts to {b}.", "{b} gets its parts from {a}.", "{b} is supplied with parts by {a}."),
        ("{a} bought shares in {b}.", "{b} sold shares to {a}.", "Shares in {b} were bought by {a}."),
        (
            "{a} hired away a manager of {b}.",
            "A manager of {b} was hired away by {a}.",
            "{b} lost a manager to {a}.",
        ),
        ("{a} owes money to {b}.", "{b} is owed money by {a}.", "{a} is in debt to {b}."),
        ("{a} merged into {b}.", "{b} absorbed {a}.", "{a} was absorbed by {b}."),
    ):
        yield _order(frames, _FIRMS)
    for frames in (
        ("{a} defeated {b}.", "{b} lost to {a}.", "{a} won against {b}.", "{b} was defeated by {a}."),
        ("{a} lies north of {b}.", "{b} lies south of {a}.", "{b} is to the south of {a}."),
        ("{a} is west of {b}.", "{b} is east of {a}.", "East of {a} lies {b}."),
    ):
        yield _order(frames, _TOWNS)
    for frames in (
        (
            "{a} arrived before {b}.",
            "{b} arrived after {a}.",
            "{b} came later than {a}.",
            "First came {a}, then {b}.",
        ),
        ("{a} sits behind {b}.", "{b} sits in front of {a}.", "In front of {a} sits {b}."),
        ("{a} owes {b} a favour.", "{b} is owed a favour by {a}.", "{a} is in debt to {b} for a favour."),
        ("{a} told {b} the secret.", "{b} heard the secret from {a}.", "{a} let {b} in on the secret."),
        ("{a} asked {b} a question.", "{b} was asked a question by {a}.", "{a} put a question to {b}."),
        ("{a} earns more than {b}.", "{b} earns less than {a}.", "{b} does not earn as much as {a}."),
        ("{a} taught {b} to swim.", "{b} learned to swim from {a}.", "{b} was taught to swim by {a}."),
        ("{a} sold {b} the house.", "{b} bought the house from {a}.", "The house was sold to {b} by {a}."),
        ("{a} voted against {b}.", "{b} did not get the vote of {a}.", "The vote of {a} was against {b}."),
        ("{a} dreams of {b}.", "{b} appears in the dreams of {a}.", "In a dream {a} sees {b}."),
    ):
        yield _order(frames, _FIRST_NAMES)
    for frames in (
        ("The {a} is on the {b}.", "The {b} is under the {a}.", "On the {b} is the {a}.", "Under the {a} is the {b}."),
        ("The {a} is behind the {b}.", "The {b} is in front of the {a}.", "Behind the {b} is the {a}."),
        ("The {a} lies above the {b}.", "The {b} lies below the {a}.", "Below the {a} lies the {b}."),
        ("The {a} is in the {b}.", "The {b} has the {a} in it.", "Inside the {b} is the {a}.", "The {b} contains the {a}."),
        ("She swapped the {a} for the {b}.", "She gave up the {a} and got the {b}.", "For the {b} she swapped the {a}."),
        ("He used the {a} to break the {b}.", "The {b} was broken with the {a}.", "With the {a} he broke the {b}."),
        ("The {a} costs more than the {b}.", "The {b} costs less than the {a}.", "The {b} is cheaper than the {a}."),
    ):  # fmt: skip
        yield _order(frames, _OBJECTS)


_OTHERS = (*_comparisons(), *_transfers(), *_journeys(), *_relations())
SWAP_GRAMMARS: tuple[Grammar, ...] = (*_deeds(), *7 * _OTHERS)
"""All of the class "order", with no frame or slot word of the probes; about half of them are deeds."""

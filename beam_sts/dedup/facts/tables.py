"""The tables of the fact guard: the meaning of words, and words that exclude each other."""

# ruff: noqa: E501, SIM905  (word lists and frames read better one to a line)

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent

ONES = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
    )
}
TENS = {
    word: 20 + 10 * place
    for place, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
    )
}
MAGNITUDES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "millions": 10**6,
    "billion": 10**9,
    "billions": 10**9,
    "trillion": 10**12,
    "trillions": 10**12,
    "dozen": 12,
    "hundreds": 10**2,
    "thousands": 10**3,
    "dozens": 12,
    "lakh": 10**5,
    "crore": 10**7,
    "mn": 10**6,
    "mio": 10**6,
    "bn": 10**9,
    "tn": 10**12,
    "millionen": 10**6,
    "millones": 10**6,
    "milliard": 10**9,
    "milliarde": 10**9,
    "milliarden": 10**9,
    "milliards": 10**9,
}
"""Words that multiply the number before them. Alone, they stand for one such unit."""
GLUED = {"k": 10**3, "bn": 10**9, "mn": 10**6, "tn": 10**12}
"""Suffixes that multiply an attached number; ``m`` and ``b`` only count after a currency symbol."""
ORDINALS = {
    word: place
    for place, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth".split(),
        1,
    )
}
FRACTIONS = {
    "half": "1/2",
    "halves": "1/2",
    "quarter": "1/4",
    "quarters": "1/4",
    "twice": "2x",
    "thrice": "3x",
}
MONTHS = {
    name: place
    for place, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sep sept",
            "october oct",
            "november nov",
            "december dec",
        ),
        1,
    )
    for name in names.split()
}
UNSURE_MONTHS = frozenset(
    ("march", "mar", "may", "jan", "jun", "sep", "dec", "august", "apr", "oct", "nov", "jul", "feb")
)
"""Words that are months only next to a number."""

CONTRACTIONS = {
    **{
        f"{verb}n't": (verb, "not")
        for verb in "is are was were do does did has have had could should would might must need".split()
    },
    **{
        f"{verb}nt": (verb, "not")
        for verb in [
            "is",
            "are",
            "was",
            "were",
            "does",
            "did",
            "has",
            "have",
            "had",
            "could",
            "should",
            "would",
        ]
    },
    "dont": ("do", "not"),
    "wont": ("will", "not"),
    "cant": ("can", "not"),
    "can't": ("can", "not"),
    "cannot": ("can", "not"),
    "won't": ("will", "not"),
    "shan't": ("shall", "not"),
    "ain't": ("is", "not"),
    "let's": ("let", "us"),
}
ENDINGS = {"'re": "are", "'ve": "have", "'ll": "will", "'d": "would", "'m": "am"}
IS_BEHIND = frozenset("it he she that this there here what who where how when everything everyone".split())
"""Words after which ``'s`` is the verb; elsewhere it is the genitive."""

SAME = {
    "&": "and",
    "gray": "grey",
    "pct": "percent",
    "ok": "okay",
    "e-mail": "email",
    "colour": "color",
    "centre": "center",
    "metre": "meter",
    "favourite": "favorite",
    "organisation": "organization",
    "no-one": "nobody",
    "anybody": "anyone",
    "everybody": "everyone",
    "somebody": "someone",
    "nope": "no",
    "till": "until",
    "frequently": "often",
    "generally": "usually",
    "ought": "should",
    "seldom": "rarely",
    "nearly": "almost",
    "approximately": "about",
    "roughly": "about",
    "fully": "completely",
    "entirely": "completely",
    "precisely": "exactly",
    "partially": "partly",
    "needed": "required",
}

NEGATIONS = frozenset(
    "not no never none nobody nothing nowhere neither nor without hardly scarcely barely cannot lack lacks lacked lacking fail fails failed except unless refuse refuses refused false untrue non nicht kein keine keinen keinem keiner keines nie niemals ohne ni ne pas jamais sans aucun aucune nunca jamás sin ninguno ninguna nada nadie niet geen nooit zonder não nem sem nunca nie bez nigdy не нет ни без 不 没 沒 無 无 未 非 别 別 勿 ない".split()
)
QUANTITIES = frozenset(
    "all some any each every both either most few fewer several many much least only just almost nearly about around approximately roughly exactly precisely over under above below exceeding minimum maximum at-least double triple more less up-to always often sometimes rarely seldom usually frequently occasionally mostly partly entirely fully completely partially must may might can could should shall cannot required optional whole another everyone someone anyone everything something anything hardly possibly probably certainly allegedly reportedly tous toutes quelques alle einige manche todos algunos".split()
)
"""Words for how many, how much, how often, how certain."""

LITTLE = frozenset(
    "a an the of and or to in on at by for with as is are was were be been being am has have had do does did it its this that these those which who whom whose there here so then than i you we he she they me us them him her my your our his their also will would if but from into s t".split()
)
"""Function words, which name nothing."""
MOVES_FREELY = frozenset("a an the of and or , also is are was were be it that this".split())
"""Words whose position alone carries little meaning."""
LABELS = frozenset(
    "crate package plugin module library gem function method class command option flag parameter variable field column "
    "driver font theme dictionary locale applet daemon".split()
)
"""Words that follow a name: in "the time crate", the word before "crate" is a name."""
_PART_NAMES = (
    "documentation docs doc manual manuals handbook guide javadoc documents",
    "header headers development devel developer developers",
    "debug debugging debugger symbols",
    "profiling profiler profiled",
    "runtime runtimes",
    "shared dynamic",
    "static",
    "data dataset datasets information",
    "tool tools utility utilities utils util program programs binary binaries executable executables application applications",
    "library libraries lib libs",
    "example examples demo demos demonstration sample samples tutorial tutorials",
    "source sources",
    "client clients",
    "server servers daemon daemons service services",
    "plugin plugins plug-in extension extensions addon addons add-on",
    "binding bindings wrapper wrappers",
    "backend backends driver drivers",
    "frontend frontends gui interface interfaces",
    "test tests testing testsuite",
    "font fonts typeface",
    "theme themes icon icons wallpaper wallpapers",
    "locale locales localization localisation translation translations",
    "html", "pdf", "epub", "json", "xml", "csv",
    "transitional dummy", "metapackage meta", "dependency dependencies",
    "module modules component components",
    "parser compiler interpreter linker assembler debugger",
    "configuration config settings",
    "schema schemas", "template templates",
    "beta alpha preview unstable nightly", "deprecated obsolete legacy",
    "minimal lite", "full complete",
)  # fmt: skip
PARTS = {name: names.split()[0] for names in _PART_NAMES for name in names.split()}
"""Words for a part, a form or an edition of a thing; the words in a line are synonyms."""
POINTING = frozenset("this these it".split())
HOLDS = frozenset("contains provides includes is are".split())
THINGS = frozenset(
    "package packages module crate version edition release page file files kernel program software variant image images "
    "distribution project system game".split()
)
"""The first word of a sentence on what its text describes; a thing or a part follows it."""
FREE = frozenset(
    "please okay ok oh well yes yeah sure sorry thanks thank hello hi hey now then also too very really quite rather "
    "still again yet soon ever even just simply indeed actually already perhaps maybe however therefore thus hence "
    "moreover besides anyway otherwise instead finally suddenly later together back away today nearby course fact "
    "speak way matter kind sort words let like got gonna going want such own same one ones thing things".split()
)
"""Words that do not change the meaning of a sentence; words that end in ``ly`` count too."""
OPENS = POINTING | {"the"}
GIVES = frozenset(
    "contains provides includes installs install adds ships enables establishes supports offers".split()
)
"""The first word and the verb of a sentence on what a thing contains."""
QUESTIONS = frozenset("where when why who how".split())
ASKING = QUESTIONS | frozenset(
    "what which whose is are was were am do does did have has had can could will would shall should may might any anything "
    "anyone".split()
)
"""Words that begin a question."""
PERSONS = frozenset("i you he she we they me him us".split())
"""Pronouns, which identify a person instead of a name."""
LIST_WORDS = frozenset(("and", "or", "&"))

_SHORT = (
    "mr mrs ms dr prof st no nr vs inc ltd co corp gen sen rep gov jr sr dept approx ca cf vol pp fig eq al"
)
ABBREVIATIONS = frozenset(
    form
    for word in (
        *_SHORT.split(),
        *(name for name in MONTHS if len(name) < 5),
        *"abcdefghijklmnopqrstuvwxyz",
        "U.S",
        "e.g",
        "i.e",
    )
    for form in (word, word.capitalize(), word.upper())
)
"""Words whose full stop does not end a sentence."""

CJK_DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "兩": 2,
    "壹": 1,
    "贰": 2,
    "叁": 3,
}
CJK_MAGNITUDES = {
    "十": 10,
    "百": 100,
    "千": 1000,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
    "兆": 10**12,
}


@cache
def known_words() -> frozenset[str]:
    """Common English words."""
    return frozenset(_read("known.txt"))


@cache
def exclusive_words() -> dict[str, frozenset[str]]:
    """For each word, the words that exclude it: opposites, and the others of a short series."""
    found: dict[str, set[str]] = {}
    for line in _read("exclusive.txt"):
        words = line.split()
        for word in words:
            found.setdefault(word, set()).update(words)
    return {word: frozenset(others - {word}) for word, others in found.items()}


def _read(name: str) -> list[str]:
    return (_FOLDER / name).read_text(encoding="utf-8").splitlines()

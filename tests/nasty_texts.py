"""Seeded texts that are hard for tokenisers: all of Unicode, control characters, words at the limits."""

import random
import unicodedata

from tests.checkpoints import SENTENCES

_WORDS = " ".join(SENTENCES).split()
_ASCII_WORDS = [word for word in _WORDS if word.isascii()]
_SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u2009\u2028\u2029\u202f\u205f\u3000"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\u2069\ufe0e\ufe0f\ufeff"
)
_SPECIAL = [
    *("[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]", "[unused1]", "<s>", "</s>", "<mask>", "<pad>", "<unk>"),
    *(
        "<bos>",
        "<eos>",
        "<0x41>",
        "▁",
        "##ing",
        "[sep]",
        "[ SEP ]",
        "[MASK",
        "SEP]",
        "<|endoftext|>",
        "Ġ",
        "Ċ",
    ),
]
_PICKED = [
    *(
        "İstanbul",
        "ısı IĞDIR",
        "ß ẞ STRASSE",
        "ﬁ ﬂ ﬀ ﬃ",
        "ǅ ǆ",
        "Σίσυφος ΣΑΣ",
        "½ ² Ⅳ ㎏",
        "Å Å Å",
        "한국어 한국어",
    ),
    *("👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "❤️", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "ภาษาไทย"),
    *(
        "今天天气",
        "日本語テスト",
        "ｆｕｌｌ ｗｉｄｔｈ",
        "𝐛𝐨𝐥𝐝 𝒾𝓉𝒶𝓁𝒾𝒸",
        "don't can't it's",
        "a_b-c/d\\e",
        "3.5% $81.20 1,000,000",
    ),
    *("Z̸̢͎a̸l̷g̵o̴", "e\u0301 é E\u0301", "\x00", "\x7f", "\x01\x02", "\ufffd", "\U0010ffff", "\ue000"),
]


def _character(rng: random.Random) -> str:
    """Any code point except surrogates; the lower planes are more frequent."""
    top = rng.choice((0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000))
    code = rng.randrange(top)
    return " " if 0xD800 <= code < 0xE000 else chr(code)


def _ascii_soup(rng: random.Random) -> str:
    return "".join(chr(rng.randrange(128)) for _ in range(rng.randrange(60)))


def _printable_soup(rng: random.Random) -> str:
    return "".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(80)))


def _planes(rng: random.Random) -> str:
    return "".join(_character(rng) for _ in range(rng.randrange(30)))


def _sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(_ASCII_WORDS, k=rng.randrange(1, 25)))


def _cased(rng: random.Random) -> str:
    return "".join(
        rng.choice((str.upper, str.lower, str.title))(word) + " " for word in rng.choices(_WORDS, k=8)
    )


def _repeated(rng: random.Random) -> str:
    word = rng.choice([*_WORDS, *_PICKED])
    return rng.choice(("", " ", "  ", "-", "\u200b")).join([word] * rng.randrange(1, 40))


def _long_word(rng: random.Random) -> str:
    """Lengths near 100, where WordPiece gives up a word, and near powers of two, where buffers end."""
    length = rng.choice(
        (15, 16, 31, 32, 63, 64, 127, 128, 99, 100, 101, 255, 256, 257, 1000)
    ) + rng.randrange(-1, 2)
    letters = rng.choice(("a", "abc", "guitar", "é", "ab1", "x-", "字", "🙂", "İ"))
    word = (letters * length)[:length]
    return rng.choice(("{}", "the {} man", "{} {}", "{}.", "({})")).format(word, word)


def _marked(rng: random.Random) -> str:
    marks = "".join(
        chr(rng.choice((0x300, 0x301, 0x308, 0x327, 0x483, 0x64B, 0x94D, 0x20DD))) for _ in range(3)
    )
    return "".join(c + rng.choice(("", "", marks, marks[:1])) for c in rng.choice(_WORDS) * 3)


def _spaced(rng: random.Random) -> str:
    between = [rng.choice(_SPACES) * rng.randrange(1, 4) for _ in range(10)]
    return "".join(space + word for space, word in zip(between, rng.choices(_WORDS, k=10), strict=True))


def _invisible(rng: random.Random) -> str:
    return "".join(word[:2] + rng.choice(_INVISIBLE) + word[2:] + " " for word in rng.choices(_WORDS, k=6))


def _special(rng: random.Random) -> str:
    parts = rng.choices([*_SPECIAL, *_SPECIAL, *_PICKED, *_ASCII_WORDS], k=rng.randrange(1, 9))
    return rng.choice(("", " ")).join(parts)


def _normalised(rng: random.Random) -> str:
    form = rng.choice(("NFC", "NFD", "NFKC", "NFKD"))
    return unicodedata.normalize(form, " ".join(rng.choices([*_PICKED, *_WORDS], k=6)))


def _one_foreign(rng: random.Random) -> str:
    """ASCII with one other character, which a fast path for ASCII must not process."""
    text = _sentence(rng)
    at = rng.randrange(len(text) + 1)
    return text[:at] + _character(rng) + text[at:]


KINDS = (
    *(_ascii_soup, _printable_soup, _planes, _sentence, _sentence, _cased, _repeated, _long_word, _marked),
    *(_spaced, _invisible, _special, _special, _normalised, _one_foreign),
)


def nasty_texts(count: int, seed: int = 0) -> list[str]:
    """``count`` texts of every kind in turn, always including the fixed ones."""
    rng = random.Random(seed)
    fixed = ["", " ", "a", "\n", *_PICKED, *_SPECIAL, *SENTENCES, *_SPACES, *_INVISIBLE]
    fixed += [chr(code) for code in range(256)]
    return [*fixed, *(KINDS[index % len(KINDS)](rng) for index in range(count - len(fixed)))]

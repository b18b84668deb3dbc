"""Pairs of texts that differ in one fact, by class: from hand-written frames, and from real sentences.

Nothing here is shared with the generators of ``beam_sts.training``, nor are the words taken from the guard's
tables.
"""

# ruff: noqa: E501, SIM905  (word lists and frames read better one to a line)

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable

EACH = 80
"""Pairs of a class from the frames, and as many from real sentences where the class applies."""

_PLACES = "Tallinn Porto Ghent Cork Leipzig Odense Lyon Turin Malmo Zagreb Graz Bergen Nantes Bilbao Krakow Tartu".split()
_PEOPLE = "Laura Ortiz,Peter Novak,Amina Diallo,Tom Becker,Hana Sato,Jorge Ruiz,Elif Kaya,Olga Petrova,Sam Whitfield,Nadia Haddad,Bruno Costa,Ivy Chen,Marek Zielinski,Priya Menon,Lars Holm,Zoe Marchetti".split(
    ","
)
_FIRMS = "Calderon Foods,Northgate Steel,Bluefin Air,Ostrava Motors,Kestrel Bank,Larkspur Media,Tamar Energy,Vintner Group".split(
    ","
)

Made = tuple[str, str]
Maker = Callable[[random.Random], Made]


def _two(rng: random.Random, words: Iterable[str]) -> list[str]:
    return rng.sample(sorted(words), 2)


def _frame(frames: str, fill: Callable[[random.Random], tuple[str, str]]) -> Maker:
    choices = [line.strip() for line in frames.strip().splitlines()]

    def make(rng: random.Random) -> Made:
        frame, (one, two) = rng.choice(choices), fill(rng)
        for slot, words in (("<place>", _PLACES), ("<person>", _PEOPLE), ("<firm>", _FIRMS)):
            frame = frame.replace(slot, rng.choice(words))
        return frame.replace("<x>", one), frame.replace("<x>", two)

    return make


def _numbers(rng: random.Random) -> tuple[str, str]:
    one = rng.choice((rng.randint(2, 99), rng.randint(100, 999), rng.randint(1000, 99999)))
    digits = list(str(one))
    at = rng.randrange(len(digits))
    digits[at] = rng.choice([d for d in "123456789" if d != digits[at]])
    return str(one), "".join(digits)


def _word_numbers(rng: random.Random) -> tuple[str, str]:
    one, two = _two(
        rng, "two three four five six seven eight nine ten eleven twelve thirty forty sixty eighty".split()
    )
    return one, two


def _magnitude(rng: random.Random) -> tuple[str, str]:
    number = rng.choice(["2", "3.5", "7", "twelve", "40", "about 15", "nearly 6"])
    one, two = _two(rng, ("thousand", "million", "billion", "trillion", "hundred"))
    return f"{number} {one}", f"{number} {two}"


def _date(rng: random.Random) -> tuple[str, str]:
    months = "January February March April June July August September October November December".split()
    day, month, year = rng.randint(1, 28), rng.choice(months), rng.randint(1950, 2030)
    other = rng.choice(
        (
            (day % 28 + 1, month, year),
            (day, rng.choice([m for m in months if m != month]), year),
            (day, month, year + rng.choice((-1, 1, 10))),
        )
    )
    form = rng.choice(("{0} {1} {2}", "{1} {0}, {2}", "{2}-{3:02}-{0:02}"))
    return tuple(form.format(*d, months.index(d[1]) + 1) for d in ((day, month, year), other))  # type: ignore[return-value]


def _time(rng: random.Random) -> tuple[str, str]:
    hour, minute = rng.randint(1, 12), rng.choice((0, 5, 10, 15, 20, 30, 40, 45))
    half = rng.choice(("am", "pm"))
    other = rng.choice(
        (
            (hour % 12 + 1, minute, half),
            (hour, (minute + 15) % 60, half),
            (hour, minute, "am" if half == "pm" else "pm"),
        )
    )
    form = rng.choice(("{0}:{1:02} {2}", "{0}:{1:02}{2}"))
    return form.format(hour, minute, half), form.format(*other)


def _version(rng: random.Random) -> tuple[str, str]:
    parts = [rng.randint(0, 12) for _ in range(rng.choice((2, 3, 3)))]
    other = list(parts)
    other[rng.randrange(len(parts))] += rng.randint(1, 3)
    mark = rng.choice(("", "v", "version "))
    return mark + ".".join(map(str, parts)), mark + ".".join(map(str, other))


def _money(rng: random.Random) -> tuple[str, str]:
    amount = rng.choice(
        (
            f"{rng.randint(2, 999)}",
            f"{rng.randint(1, 99)},{rng.randint(100, 999)}",
            f"{rng.randint(1, 99)}.{rng.randint(10, 99)}",
        )
    )
    if rng.random() < 0.5:
        one, two = _two(
            rng, ("${}", "€{}", "£{}", "{} yen", "{} rupees", "{} dollars", "{} euros")[: rng.choice((3, 7))]
        )
        if {one, two} <= {"${}", "{} dollars"} or {one, two} <= {"€{}", "{} euros"}:
            two = "£{}"
        return one.format(amount), two.format(amount)
    form = rng.choice(("${}", "{} euros", "£{}"))
    digits = [i for i, c in enumerate(amount) if c.isdigit()]
    at = rng.choice(digits)
    new = rng.choice([d for d in "123456789" if d != amount[at]])
    return form.format(amount), form.format(amount[:at] + new + amount[at + 1 :])


def _unit(rng: random.Random) -> tuple[str, str]:
    group = rng.choice(
        (
            "km,miles,metres,yards",
            "kg,pounds,tonnes,grams",
            "days,weeks,months,years",
            "minutes,hours,seconds",
            "MB,GB,TB",
            "litres,gallons,ml",
            "°C,°F",
            "volts,amps,watts",
        )
    )
    one, two = _two(rng, group.split(","))
    number = rng.choice((3, 5, 12, 20, 45, 60, 90, 250))
    return f"{number} {one}", f"{number} {two}"


def _code(rng: random.Random) -> tuple[str, str]:
    letters, digits = "ABCDEFGHKLMNPRSTUVWXYZ", "0123456789"
    shape = rng.choice(("LL-DDDD", "DD-DDDD", "LDDD-LL", "LLLDDDDL", "DDDDDD-DD", "LL-DD-LL"))
    code = ["-" if c == "-" else rng.choice(letters if c == "L" else digits) for c in shape]
    places = [at for at, c in enumerate(shape) if c != "-"]
    other = list(code)
    if rng.random() < 0.4:
        at, to = rng.sample(places, 2)
        other[at], other[to] = other[to], other[at]
    if other == code:
        at = rng.choice(places)
        other[at] = rng.choice([c for c in (letters if code[at].isalpha() else digits) if c != code[at]])
    return "".join(code), "".join(other)


def _phone(rng: random.Random) -> tuple[str, str]:
    shape = rng.choice(("555-DDD-DDDD", "+44 20 DDDD DDDD", "(0DD) DDDDDD", "+49 DDD DDDDDDD", "0DDD DDDDDD"))
    number = ["".join(rng.choice("0123456789") if c == "D" else c for c in shape)][0]
    at = rng.choice([i for i, c in enumerate(shape) if c == "D"])
    return number, number[:at] + rng.choice([d for d in "0123456789" if d != number[at]]) + number[at + 1 :]


def _url(rng: random.Random) -> tuple[str, str]:
    words = ["help", "news", "shop", "blog", "forum", "wiki", "docs", "media", "jobs", "events"]
    host, other_host = _two(rng, ["example", "arbor", "quillon", "fernweh", "lodestar"])
    one, two = _two(rng, words)
    kind = rng.randrange(4)
    base = f"https://{host}.org/{one}"
    if kind == 0:
        return base, f"https://{host}.org/{two}"
    if kind == 1:
        return base, f"https://{other_host}.org/{one}"
    if kind == 2:
        return base + "?id=17", base + "?id=71"
    return f"{one}@{host}.org", f"{two}@{host}.org"


def _identifier(rng: random.Random) -> tuple[str, str]:
    words = "parse config stream token cache event buffer index query socket frame signal render codec vector".split()
    a, b, c = rng.sample(words, 3)
    kind = rng.randrange(5)
    if kind == 0:
        return f"{a}_{b}", f"{a}_{c}"
    if kind == 1:
        return f"lib{a}-{b}", f"lib{a}-{c}"
    if kind == 2:
        return f"{a}-{b}", f"{c}-{b}"
    if kind == 3:
        return f"{a}{b.title()}", f"{a}{c.title()}"
    return f"{a}.{b}()", f"{a}.{c}()"


def _percent(rng: random.Random) -> tuple[str, str]:
    number = rng.randint(2, 89)
    return rng.choice(
        (
            (f"{number}%", f"{number + rng.randint(1, 9)}%"),
            (f"{number} percent", f"{number + 10} percent"),
            (f"-{number} °C", f"{number} °C"),
            (f"{number}.5%", f"{number}%"),
        )
    )


def _negation(rng: random.Random) -> Made:
    frames = """The new law {is|is not} in force in <place>.
        <person> {has|has never} worked for <firm> in <place>.
        The results {were|weren't} confirmed by a second laboratory.
        Guests {can|cannot} use the pool after the renovation in <place>.
        The board of <firm> {did|did not} approve the merger with its rival.
        {There is a|There is no} train from the airport to <place> at night.
        The tenant {shall|shall not} keep animals in the flat without consent.
        This medicine {should|should not} be taken together with alcohol.
        <person> left the office in <place> {with|without} the signed contract.
        {Everybody|Nobody} in the team of <firm> knew about the change of plan.
        The package {contains|doesn't contain} the documentation for developers.
        The samples {do|don't} show traces of the pesticide, the report says.
        It {is|isn't} possible to change the booking after the payment.
        <firm> {will|won't} open a second plant in <place> next year.
        He said that he {would|would not} take part in the talks in <place>.""".splitlines()
    frame = _fill(rng.choice(frames).strip(), rng)
    return _choices(frame)


def _quantity(rng: random.Random) -> Made:
    frames = """{All|Some} of the workers at <firm> received the bonus this year.
        {At least|At most} 40 people may enter the hall in <place> at once.
        {Most|Few} of the voters in <place> were in favour of the new bridge.
        {Both|Neither} of the engines failed during the test flight.
        The machine {always|sometimes} stops when the door is open.
        {Every|Only one} branch of <firm> is open on public holidays.
        The price may {rise|rise only} in the second year of the contract.
        The court in <place> {must|may} hear both of the parties.
        More than {half|a third} of the shops in <place> are empty.
        {Up to|Over} 200 jobs are at risk, said <person> of <firm>.
        Children {under|over} the age of six travel free of charge.
        {Several|None} of the witnesses remembered the colour of the car.
        The report is {partly|entirely} based on interviews in <place>.
        The service is {usually|rarely} available at weekends in <place>.
        You {need|need not} bring your own towels to the hostel.""".splitlines()
    return _choices(_fill(rng.choice(frames).strip(), rng))


def _opposite(rng: random.Random) -> Made:
    frames = """Exports from <place> {rose|fell} sharply in the second quarter.
        <firm> {bought|sold} the old mill near <place> last summer.
        The road to <place> is {open|closed} because of the weather.
        The {northern|southern} part of <place> has no drinking water.
        The shares of <firm> {gained|lost} in early trading.
        <person> {won|lost} the final of the tournament in <place>.
        The jury found the director of <firm> {guilty|innocent}.
        The water in the tank is too {hot|cold} for the fish.
        The {minimum|maximum} speed on this section is written on the sign.
        The {first|last} ferry to <place> was cancelled by the storm.
        Please {enable|disable} the firewall before the installation.
        The test was {positive|negative}, the clinic in <place> told him.
        The minister {confirmed|denied} the report about <firm>.
        The {buyer|seller} pays the costs of the transport to <place>.
        The valve must be {tightened|loosened} before the pump is started.
        The road through <place> was {widened|narrowed} ten years ago.
        The {eldest|youngest} daughter of <person> moved to <place>.
        The museum in <place> is {nearly|far from} finished.
        The soup was far too {salty|bland} for the guests from <place>.
        The judges {praised|criticised} the young cook from <place>.
        The bridge is {upstream|downstream} of the harbour of <place>.
        The {exterior|interior} walls of the house were painted by <firm>.
        The meeting in <place> was {brief|lengthy} and ended without a vote.
        The bank {raised|cut} its rates for savings in <place>.
        The committee {supports|opposes} the plan of <firm>.
        The team was {promoted|relegated} at the end of the season.
        Flights to <place> {resumed|ceased} after the strike.
        The plane {ascended|descended} quickly over <place>.
        The article is {biased|neutral}, said <person>.
        The neighbours in <place> are {friendly|hostile} to strangers.""".splitlines()
    return _choices(_fill(rng.choice(frames).strip(), rng))


def _name_pair(rng: random.Random) -> Made:
    frames = """The prize went to <n> for the novel about the harbour.
        According to <n>, the negotiations will go on until spring.
        The concert with <n> in the old brewery is sold out.
        The fire near <n> destroyed several hundred hectares of forest.
        The headquarters of <n> will be moved to another country.
        Yesterday <n> announced the end of the partnership.
        The biography of <n> was translated by a student.
        A delegation from <n> visited the research station in spring.""".splitlines()
    one, two = _two(rng, rng.choice((_PLACES, _PEOPLE, _FIRMS)))
    frame = rng.choice(frames).strip()
    return frame.replace("<n>", one), frame.replace("<n>", two)


def _roles(rng: random.Random) -> Made:
    frames = """<a> sued <b> over the contract for the harbour.
        <a> lent the money to <b> without a written agreement.
        In the final, <a> beat <b> after extra time.
        <a> will take over <b> at the beginning of next year.
        The parcel was sent from <a> to <b> on Friday.
        <a> is older than <b>, but both went to the same school.
        <a> accused <b> of the theft of the plans.
        The buyer pays <a> and the seller pays <b> for the survey.
        The police officer followed the taxi driver to the station.|The taxi driver followed the police officer to the station.
        The teacher thanked the nurse for the quick help.|The nurse thanked the teacher for the quick help.
        The dog chased the cat through the garden.|The cat chased the dog through the garden.
        The fox watched the goose from behind the fence.|The goose watched the fox from behind the fence.
        The lessee informs the owner about the damage in writing.|The owner informs the lessee about the damage in writing.""".splitlines()
    frame = rng.choice(frames).strip()
    if "|" in frame:
        one, two = frame.split("|")
        tail = " " + _fill("It happened near <place>, says <person>.", rng)
        return one + tail, two + tail
    a, b = _two(rng, rng.choice((_PEOPLE, _FIRMS, _PLACES)))
    return frame.replace("<a>", a).replace("<b>", b), frame.replace("<a>", b).replace("<b>", a)


def _scripts(rng: random.Random) -> Made:
    number = rng.randint(11, 9899)
    other = number + rng.choice((1, 10, 100))
    frames = (
        "他买了{}本书，花了很多钱。",
        "この町には{}人が住んでいます。",
        "يبلغ عدد السكان {} نسمة في هذه المدينة",
        "इस गाँव में {} लोग रहते हैं",
        "公司去年卖出了{}辆汽车。",
    )
    frame = rng.choice(frames)
    digits = rng.choice(("0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩", "〇一二三四五六七八九"))
    one, two = ("".join(digits[int(d)] for d in str(n)) for n in (number, other))
    return frame.format(one), frame.format(two)


def _fill(frame: str, rng: random.Random) -> str:
    for slot, words in (("<place>", _PLACES), ("<person>", _PEOPLE), ("<firm>", _FIRMS)):
        frame = frame.replace(slot, rng.choice(words))
    return frame


def _choices(frame: str) -> Made:
    one, two = (re.sub(r"\{(.*?)\|(.*?)\}", rf"\{at}", frame) for at in (1, 2))
    return one, two


FRAMES: dict[str, Maker] = {
    "number": _frame(
        """The library in <place> has <x> seats for readers on two floors.
        <firm> will hire <x> engineers for its plant near <place>.
        The survey of <x> households was carried out by <person>.
        Room <x> is on the left behind the lifts of the hotel in <place>.""",
        _numbers,
    ),
    "number word": _frame(
        """The trial in <place> lasted <x> weeks and ended without a verdict.
        <person> has <x> children and lives near <place> since the war.
        The contract with <firm> runs for <x> years from the date of signature.""",
        _word_numbers,
    ),
    "magnitude": _frame(
        """The fund lost <x> euros last year because of bad loans.
        <firm> sold <x> units of the device in its first year.
        The bridge near <place> cost <x> crowns more than planned.""",
        _magnitude,
    ),
    "date": _frame(
        """The treaty was signed in <place> on <x> by both of the parties.
        <person> was born on <x> and grew up in <place>.
        The offer of <firm> is valid until <x> in all shops.""",
        _date,
    ),
    "time": _frame(
        """The bus to <place> leaves at <x> from the stop behind the school.
        The meeting with <person> starts at <x> in the small hall.""",
        _time,
    ),
    "version": _frame(
        """This release needs Python <x> and a current compiler.
        The bug was fixed in <x> of the library, see the release notes.
        Update the server of <firm> to <x> before the end of the month.""",
        _version,
    ),
    "money": _frame(
        """The ticket to <place> costs <x> if it is booked in advance.
        <person> paid <x> for the painting at an auction in <place>.
        The fine of <x> was paid by <firm> without an objection.""",
        _money,
    ),
    "unit": _frame(
        """The trail from <place> to the lake is marked for <x> and well kept.
        Leave the mixture for <x> and then stir it again slowly.
        The limit is <x> for each customer of <firm>.""",
        _unit,
    ),
    "product code": _frame(
        """Spare filter for the vacuum cleaner, SKU <x>, pack of two, in stock.
        Replacement battery <x> with charger and cable, delivery from <place>.
        Article <x>: ceramic mug with handle, dishwasher safe.""",
        _code,
    ),
    "phone": _frame(
        """Our hotline <x> is open on working days from nine to five.
        To book a table in <place> call <x> or write to us.""",
        _phone,
    ),
    "address": _frame(
        """The slides of the talk in <place> are at <x> for download.
        Questions are answered at <x> by the staff of <firm>.""",
        _url,
    ),
    "identifier": _frame(
        """This package contains the development files of <x> for the build.
        The function <x> returns the state of the connection as a number.""",
        _identifier,
    ),
    "percent and sign": _frame(
        """The turnover of <firm> changed by <x> in the last quarter.
        The value in <place> was <x> at the time of the measurement.""",
        _percent,
    ),
    "negation": _negation,
    "quantity": _quantity,
    "opposite": _opposite,
    "name": _name_pair,
    "roles": _roles,
    "scripts": _scripts,
}


def from_frames(seed: int = 29, each: int = EACH) -> list[tuple[str, str, str]]:
    """(class, text, the same with another fact): ``each`` of a class where the frames give as many, distinct."""
    made: list[tuple[str, str, str]] = []
    for name, make in FRAMES.items():
        rng, seen = random.Random(f"{seed} {name}"), set()
        for _ in range(each * 20):
            one, two = make(rng)
            if one != two and (one, two) not in seen and len(seen) < each:
                seen.add((one, two))
                made.append((name, one, two))
    return made


def _swap(
    pattern: str, new: Callable[[re.Match[str], random.Random], str | None]
) -> Callable[[str, random.Random], str | None]:
    compiled = re.compile(pattern)

    def change(text: str, rng: random.Random) -> str | None:
        found = list(compiled.finditer(text))
        if not found:
            return None
        match = rng.choice(found)
        word = new(match, rng)
        return (
            None
            if word is None or word == match.group()
            else text[: match.start()] + word + text[match.end() :]
        )

    return change


def _other_digit(match: re.Match[str], rng: random.Random) -> str:
    text = match.group()
    at = rng.choice([i for i, c in enumerate(text) if c.isdigit()])
    return text[:at] + rng.choice([d for d in "123456789" if d != text[at]]) + text[at + 1 :]


def _of(words: str) -> Callable[[re.Match[str], random.Random], str]:
    listed = words.split(",")
    return lambda match, rng: rng.choice([w for w in listed if w != match.group()])


def real_rules(names: list[str]) -> dict[str, Callable[[str, random.Random], str | None]]:
    """How a real sentence gets another fact, by class; ``names`` are those of other sentences."""
    months = "January,February,March,April,June,July,August,September,October,November,December"
    return {
        "number": _swap(r"(?<![\w.,-])[0-9]+(?![\w.,-])", _other_digit),
        "number word": _swap(
            r"\b(?:two|three|four|five|six|seven|eight|nine|ten)\b",
            _of("two,three,four,five,six,seven,eight,nine,ten"),
        ),
        "magnitude": _swap(r"\b(?:million|billion|thousand|hundred)\b", _of("million,billion,thousand")),
        "date": _swap(
            rf"\b(?:{months.replace(',', '|')})\b(?= \d)|\b(?:1[89]|20)\d\d\b",
            lambda m, r: _of(months)(m, r) if m.group()[0].isalpha() else _other_digit(m, r),
        ),
        "time": _swap(r"\b\d{1,2}:\d{2}\b", _other_digit),
        "money": _swap(r"[$£€]\d[\d,.]*\d", _other_digit),
        "unit": _swap(
            r"(?<=\d )(?:km|kilometers|miles|feet|metres|meters|kg|years|days|hours|minutes|percent)\b",
            _of("km,miles,feet,meters,kg,years,days,hours,minutes,percent"),
        ),
        "name": _swap(r"(?<=[a-z] )[A-Z][a-z]{3,}\b", lambda m, r: r.choice(names)),
        "negation": _swap(
            r"\b(?:is|are|was|were|can|could|will|would|should|did|does|do) not\b|\b(?:is|are|was|were|can|could|will|would|should)\b(?! not|n't)",
            lambda m, r: m.group()[:-4] if m.group().endswith(" not") else m.group() + " not",
        ),
        "quantity": _swap(
            r"\b(?:all|some|most|every|many|few|several|both|only|always|often|never|must|may)\b",
            _of("all,some,most,every,many,few,several,both,only,always,often,never,must,may"),
        ),
    }


def from_sentences(sentences: list[str], seed: int = 29, each: int = EACH) -> list[tuple[str, str, str]]:
    """(class, sentence, the same with another fact)."""
    rng = random.Random(seed)
    names = sorted(
        {name for text in sentences[:3000] for name in re.findall(r"(?<=[a-z] )[A-Z][a-z]{3,}\b", text)}
    )
    made: list[tuple[str, str, str]] = []
    for name, rule in real_rules(names).items():
        found = 0
        for text in sentences:
            changed = rule(text, rng)
            if changed is not None and len(text.split()) >= 6:
                made.append((name, text, changed))
                found += 1
                if found == each:
                    break
    return made

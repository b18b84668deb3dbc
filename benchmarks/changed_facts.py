"""Pairs of texts that differ in one fact, by class: from hand-written frames, and from real sentences.

Nothing is shared with the generators of ``beam_sts.training`` or with the guard's tables.
"""

# ruff: noqa: E501, SIM905  (word lists and frames read better one to a line)

from __future__ import annotations

import random
import re
from collections.abc import Callable

from benchmarks import changed_figures

EACH = 80
"""How many pairs of a class are from frames, and how many from real sentences if the class applies."""

_PLACES = "Tallinn Porto Ghent Cork Leipzig Odense Lyon Turin Malmo Zagreb Graz Bergen Nantes Bilbao Krakow Tartu".split()
_PEOPLE = "Laura Ortiz,Peter Novak,Amina Diallo,Tom Becker,Hana Sato,Jorge Ruiz,Elif Kaya,Olga Petrova,Sam Whitfield,Nadia Haddad,Bruno Costa,Ivy Chen,Marek Zielinski,Priya Menon,Lars Holm,Zoe Marchetti".split(
    ","
)
_FIRMS = "Calderon Foods,Northgate Steel,Bluefin Air,Ostrava Motors,Kestrel Bank,Larkspur Media,Tamar Energy,Vintner Group".split(
    ","
)

Made = tuple[str, str]
Maker = Callable[[random.Random], Made]


def _frame(frames: str, fill: Callable[[random.Random], tuple[str, str]]) -> Maker:
    choices = [line.strip() for line in frames.strip().splitlines()]

    def make(rng: random.Random) -> Made:
        frame, (one, two) = rng.choice(choices), fill(rng)
        for slot, words in (("<place>", _PLACES), ("<person>", _PEOPLE), ("<firm>", _FIRMS)):
            frame = frame.replace(slot, rng.choice(words))
        return frame.replace("<x>", one), frame.replace("<x>", two)

    return make


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
    one, two = changed_figures.pick_two(rng, rng.choice((_PLACES, _PEOPLE, _FIRMS)))
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
    a, b = changed_figures.pick_two(rng, rng.choice((_PEOPLE, _FIRMS, _PLACES)))
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
        changed_figures.numbers,
    ),
    "number word": _frame(
        """The trial in <place> lasted <x> weeks and ended without a verdict.
        <person> has <x> children and lives near <place> since the war.
        The contract with <firm> runs for <x> years from the date of signature.""",
        changed_figures.word_numbers,
    ),
    "magnitude": _frame(
        """The fund lost <x> euros last year because of bad loans.
        <firm> sold <x> units of the device in its first year.
        The bridge near <place> cost <x> crowns more than planned.""",
        changed_figures.magnitude,
    ),
    "date": _frame(
        """The treaty was signed in <place> on <x> by both of the parties.
        <person> was born on <x> and grew up in <place>.
        The offer of <firm> is valid until <x> in all shops.""",
        changed_figures.date,
    ),
    "time": _frame(
        """The bus to <place> leaves at <x> from the stop behind the school.
        The meeting with <person> starts at <x> in the small hall.""",
        changed_figures.time,
    ),
    "version": _frame(
        """This release needs Python <x> and a current compiler.
        The bug was fixed in <x> of the library, see the release notes.
        Update the server of <firm> to <x> before the end of the month.""",
        changed_figures.version,
    ),
    "money": _frame(
        """The ticket to <place> costs <x> if it is booked in advance.
        <person> paid <x> for the painting at an auction in <place>.
        The fine of <x> was paid by <firm> without an objection.""",
        changed_figures.money,
    ),
    "unit": _frame(
        """The trail from <place> to the lake is marked for <x> and well kept.
        Leave the mixture for <x> and then stir it again slowly.
        The limit is <x> for each customer of <firm>.""",
        changed_figures.unit,
    ),
    "product code": _frame(
        """Spare filter for the vacuum cleaner, SKU <x>, pack of two, in stock.
        Replacement battery <x> with charger and cable, delivery from <place>.
        Article <x>: ceramic mug with handle, dishwasher safe.""",
        changed_figures.code,
    ),
    "phone": _frame(
        """Our hotline <x> is open on working days from nine to five.
        To book a table in <place> call <x> or write to us.""",
        changed_figures.phone,
    ),
    "address": _frame(
        """The slides of the talk in <place> are at <x> for download.
        Questions are answered at <x> by the staff of <firm>.""",
        changed_figures.url,
    ),
    "identifier": _frame(
        """This package contains the development files of <x> for the build.
        The function <x> returns the state of the connection as a number.""",
        changed_figures.identifier,
    ),
    "percent and sign": _frame(
        """The turnover of <firm> changed by <x> in the last quarter.
        The value in <place> was <x> at the time of the measurement.""",
        changed_figures.percent,
    ),
    "negation": _negation,
    "quantity": _quantity,
    "opposite": _opposite,
    "name": _name_pair,
    "roles": _roles,
    "scripts": _scripts,
}


def from_frames(seed: int = 29, each: int = EACH) -> list[tuple[str, str, str]]:
    """Distinct (class, text, the same with another fact): up to ``each`` of a class."""
    made: list[tuple[str, str, str]] = []
    for name, make in FRAMES.items():
        rng, seen = random.Random(f"{seed} {name}"), set[tuple[str, str]]()
        for _ in range(each * 20):
            one, two = make(rng)
            if one != two and (one, two) not in seen and len(seen) < each:
                seen.add((one, two))
                made.append((name, one, two))
    return made

"""What deduplication learns from its texts first: their languages and their boilerplate."""

import random
import warnings

import pyarrow.parquet as pq
import pytest

from beam_sts import deduplicate
from beam_sts.cli import dedup
from tests.dedup.test_beam import both, write
from tests.dedup.test_boilerplate import framed, words

GERMAN = [
    "Der Zug nach München hatte gestern Abend wieder zwei Stunden Verspätung.",
    "In der alten Mühle am Fluss wohnt seit Jahren niemand mehr.",
    "Sie hat ihren Regenschirm am Bahnhof in der Halle liegen lassen.",
    "Nach dem Regen roch der ganze Garten nach frischer Erde und Lavendel.",
    "Die Kinder bauten am Strand eine Burg aus Sand und Muscheln.",
    "Niemand wusste, warum die Maschine plötzlich stehen geblieben war.",
]
PROMPT = (
    "You are a careful assistant for a small library. Answer in full sentences, quote the shelf mark where "
    "you know it, never invent a title, and send the reader to the desk when you are unsure. Opening hours "
    "and fees are in the leaflet that you were given; do not repeat the leaflet. The reader asks:"
)
ASKS = [
    "Where are the maps of the Alps?",
    "May I bring my dog along?",
    "Do you lend violins to adults?",
    "Which floor has the newspapers?",
    "My card was stolen, what now?",
    "Is there a quiet room for exams?",
    "Who wrote the blue atlas of birds?",
    "Can my neighbour return this novel?",
    "How loud is the printer upstairs?",
    "Any cookbooks from Peru or Chile?",
]


def texts_of(folder, name):
    return pq.read_table(folder / name)["text"].to_pylist()


def test_contents_behind_a_prompt_stay_and_copies_behind_it_go_on_every_path(tmp_path):
    texts = [f"{PROMPT} {ask}" for ask in ASKS]
    copies = [texts[0].replace("?", " ?"), f"{PROMPT.replace('leaflet;', 'leaflet,')} {ASKS[1]}"]
    write(tmp_path / "in.parquet", [*texts, *copies])
    one, _, summary = both(tmp_path, "--guard", "none", "--keep", "first")
    assert sorted(texts_of(one, "removed")) == sorted(copies)
    assert summary["boilerplate"]["runs"]
    assert summary["boilerplate"]["shown"][0]["text"] in PROMPT
    assert "boilerplate" in (one / "report.html").read_text()
    counted = deduplicate([*texts, *copies], guard="none", keep="first", threshold=0.7, boilerplate="counted")
    assert len(counted.removed) > len(copies)
    found = deduplicate([*texts, *copies], guard="none", keep="first", threshold=0.7)
    assert [row["text"] for row in found.removed] == copies
    assert found.boilerplate == summary["boilerplate"]


def test_a_model_that_does_not_know_the_language_is_left_out_on_every_path(tmp_path, caplog):
    copies = [text.replace(" der ", " der  ").replace("gestern ", "") for text in GERMAN[:2]]
    write(tmp_path / "in.parquet", [*GERMAN, *copies])
    one, _, summary = both(tmp_path, "--threshold", "0.8", "--form", "none")
    assert summary["languages"]["unknown"] == {"de": 8}
    assert summary["verify"]["scored"] == 0
    warning = summary["languages"]["warning"].partition(" --")[0]  # options are marked up
    assert warning in (one / "report.html").read_text()
    caplog.set_level("WARNING")  # the commands log only errors
    alone = deduplicate([*GERMAN, *copies], threshold=0.8, model_share=0.0)
    assert "does not know some languages of the texts (de)" in caplog.text
    found = deduplicate([*GERMAN, *copies], threshold=0.8)
    assert caplog.text.count("does not know some languages") == 2
    assert [row["score"] for row in found.removed] == [row["score"] for row in alone.removed]
    told = deduplicate([*GERMAN, *copies], threshold=0.8, languages="ignored")
    assert told.languages is None


def test_english_is_known_and_a_fact_guards_in_any_language(capsys, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not deduplicate(ASKS).languages["unknown"]
    prices = [f"{GERMAN[0]} Das kostete die Bahn {n} Millionen Euro." for n in (3, 4)]
    write(tmp_path / "in.parquet", [*GERMAN[1:], *prices])
    args = ["--input", str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out"), "--text", "text"]
    assert dedup.main([*args, "--threshold", "0.7"]) == 0
    said = capsys.readouterr()
    assert "does not know some languages of the texts (de)" in said.out + said.err
    assert not texts_of(tmp_path / "out", "removed")


def test_many_edited_copies_of_one_text_go(tmp_path):
    rng = random.Random(11)
    text = words(rng, 60)
    copies = [" ".join([*text[:at], *words(rng, 1), *text[at + 1 :]]) for at in range(5, 55)]
    others, _ = framed(rng, 12, frame=40, content=15)
    found = deduplicate([" ".join(text), *copies, *others], guard="none", keep="first", languages="ignored")
    assert sorted(row["text"] for row in found.removed) == sorted(copies)


@pytest.mark.parametrize(
    "frame",
    [
        "{}\n\n-- \nThis message and its attachments are confidential and meant for the addressee alone. If "
        "you received it in error, tell the sender and delete it. Harbour & Sons, 12 Quay Street.",
        "This package contains the debugging symbols that are needed to trace crashes of the programs "
        "shipped in {}, and nothing that a user of them needs.",
        "Home | About us | Products | Prices | News | Jobs | Contact | Sign in | Basket | Search\n{}\n"
        "Terms of use | Privacy | Returns | Shipping | Imprint | Follow us | Newsletter | Rights reserved",
    ],
    ids=["footer of a message", "template of a package", "navigation of a page"],
)
def test_frames_of_other_shapes(frame):
    contents = [ask.rstrip("?") for ask in ASKS]
    texts = [frame.format(content) for content in contents]
    copies = [frame.format(content.replace(" ", "  ", 1) + " ") for content in contents[:3]]
    found = deduplicate([*texts, *copies], guard="none", keep="first", form="none", languages="ignored")
    assert sorted(row["text"] for row in found.removed) == sorted(copies)

"""Files, folders and models with odd names, in every verb: what is read and written is what was named."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, evaluate, explain, label, mine, score
from tests import engines
from tests.cli.test_dedup import made_texts

FAST = ("part::1", "s3::bucket", "[x]", "new\nline", "back\\slash", "-dash", "\u202egnp")
ODD = (
    *(
        "zip::a",
        "data:1",
        "file:b",
        "s3:",
        "100%25",
        "a%2Fb",
        "what?",
        "st*r",
        "#1",
        "~tilde",
        "$HOME",
        "a;b",
    ),
    *('quo"te', "it's", "{b,c}", "\u6f22\u5b57 \u00fc", "with space", "..a", "a,b"),
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, tiny):
    """The shards of every verb for files of plain names."""
    return run_all(tmp_path_factory.mktemp("plain"), "plain", tiny)


def run_all(place, name, tiny):
    """Run the verbs on files of that name in a folder of that name. Returns the bytes of their shards."""
    folder = place / name
    folder.mkdir()
    texts = made_texts(12)
    table = pa.table(
        {
            "id": range(len(texts)),
            "text": texts,
            "text_b": texts[::-1],
            "score": [at / len(texts) for at in range(len(texts))],
        }
    )
    source = folder / f"{name}.parquet"
    pq.write_table(table, source)
    (folder / f"{name} model").symlink_to(tiny)
    model = f"--model={folder / f'{name} model'}"
    shards = {}
    for verb, command, options in (
        ("score", score, ("--text_a=text", "--text_b=text_b")),
        ("dedup", dedup, ("--text=text", "--id=id", "--guard=none", "--threshold=0.1")),
        ("mine", mine, ("--text=text", "--test_share=0.3")),
        ("evaluate", evaluate, ("--text_a=text", "--text_b=text_b", "--score=score")),
    ):
        output = folder / f"{verb} {name}"
        given = [f"--input={source}", f"--output={output}", model, "--threads=1", *options]
        assert command.main(given) == 0
        assert (output / "summary.json").is_file()
        assert command.main(given) == 0  # it is found again
        shards[verb] = engines.shards(output)
        assert shards[verb] or verb == "evaluate"
    run = folder / f"dedup {name}"
    against = [f"--input={source}", f"--output={folder / f'new {name}'}", f"--against={source}"]
    assert dedup.main([*against, "--text=text", "--id=id", model, "--threads=1"]) == 0
    again = [f"--input={source}", f"--output={folder / f'again {name}'}", f"--from_pairs={run}"]
    assert dedup.main([*again, "--text=text", "--id=id", model, "--threads=1", "--guard=none"]) == 0
    inside = [
        f"--input={source}",
        f"--output={folder / f'inside {name}'}",
        "--contains",
        f"--against={source}",
    ]
    assert dedup.main([*inside, "--text=text", "--id=id", "--contained=0.5"]) == 0
    assert explain.main([f"--run={run}", "1"]) == 0
    sheet = folder / f"{name}.csv"
    assert label.main([f"--run={run}", f"--sheet={sheet}"]) == 0
    assert sheet.is_file()
    assert {path.name for path in place.iterdir()} == {name}
    return shards


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in ODD)])
def test_every_verb_reads_and_writes_what_was_named(name, tmp_path, tiny, plain):
    assert run_all(tmp_path, name, tiny) == plain

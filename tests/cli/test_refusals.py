"""If a command is refused, its output folder is unchanged, and the corrected command runs."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts.cli import dedup, evaluate, example, label, mine, score
from tests.cli.test_dedup import made_texts


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("refusals") / "in.parquet"
    texts = made_texts(30)
    vectors = [[1.0, 2.0] if i % 5 else [1.0] for i in range(len(texts))]
    columns = {"text": texts, "twice": ["same"] * len(texts), "vector": vectors, "text_b": texts[::-1]}
    pq.write_table(pa.table(columns), path)
    return path


def state(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]


REFUSED = {
    "more pairs than are to be scored": (dedup, "--text=text", "--max_pairs=1"),
    "ids that recur": (dedup, "--text=text", "--id=twice"),
    "no such column": (dedup, "--text=nothing"),
    "an expression that fails": (dedup, "--text=text", "--keep=highest:nothing+1"),
    "vectors of two widths": (dedup, "--text=text", "--candidates=neighbours", "--embedding=vector"),
    "a file of pairs that is not there": (dedup, "--text=text", "--candidates=pairs:/nowhere.csv"),
    "no earlier run": (dedup, "--text=text", "--from_pairs=/nowhere"),
    "what needs another input": (dedup, "--text=text", "--within"),
    "recurring ids on Beam": (dedup, "--text=text", "--id=twice", "--runner=DirectRunner"),
    "more pairs on Beam": (dedup, "--text=text", "--max_pairs=1", "--runner=DirectRunner"),
    "a threshold of logits": (score, "--text_a=text", "--text_b=text_b", "--threshold=7"),
    "no such columns": (score, "--text_a=nothing", "--text_b=text_b"),
    "a model that is none": (score, "--text_a=text", "--text_b=text_b", "--model=/nowhere"),
    "texts of two widths": (mine, "--text=text", "--embedding=vector"),
    "nothing to propose": (mine, "--text=text", "--neighbours=0", "--lexical=0", "--random=0"),
    "a language that is none": (mine, "--text=nothing", "--sentences=en"),
}


CASES = [(why, there) for why in REFUSED for there in (False, True) if not (there and "Beam" in why)]


@pytest.mark.parametrize(("why", "there"), CASES)
def test_a_refused_command_leaves_the_output_as_it_was(corpus, tiny, tmp_path, why, there):
    verb, *options = REFUSED[why]
    out = tmp_path / "deep" / "out"
    if there:
        out.mkdir(parents=True)
        (out / ".keep").write_text("")
    before = state(tmp_path)
    model = [] if "--model=/nowhere" in options else [f"--model={tiny}"]
    assert verb.main([f"--input={corpus}", f"--output={out}", "--threads=1", *model, *options]) == 2
    assert state(tmp_path) == before
    assert out.exists() == there
    assert (tmp_path / "deep").exists() == there


@pytest.mark.parametrize("verb", [score, dedup, mine])
@pytest.mark.parametrize("name", ["-", "", " ", " -"])
def test_standard_output_is_no_folder(corpus, tmp_path, monkeypatch, capsys, verb, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        verb.main([f"--input={corpus}", f"--output={name}"])
    assert end.value.code == 2
    assert "Name a file or a folder." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


BAD = ["s3://", "s3:/bucket/a", " s3://bucket/a", "a\0b", "n" * 300, "zip://a.csv::a.zip", "\udcff"]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "option", ["score --output", "label --sheet", "evaluate --report", "example --output"]
)
def test_a_name_that_is_none_writes_nothing(corpus, tiny, tmp_path, monkeypatch, capsys, option, name):
    """Some would be folders of that name below this one; others would fail after the work."""
    verb, flag = option.split()
    run = tmp_path / "run"
    scoring = [f"--input={corpus}", "--text_a=text", "--text_b=text", f"--model={tiny}", "--threads=1"]
    if verb == "label":
        args = ["--text=text", "--guard=none", "--threshold=0.1", f"--model={tiny}", "--threads=1"]
        assert dedup.main([f"--input={corpus}", f"--output={run}", *args]) == 0
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    given = {"score": scoring, "evaluate": scoring, "label": [f"--run={run}"], "example": []}[verb]
    try:
        status = {"score": score, "label": label, "evaluate": evaluate, "example": example}[verb].main(
            [*given, f"{flag}={name}"]
        )
    except SystemExit as end:
        status = end.code
    assert status == 2, capsys.readouterr()
    assert not list((tmp_path / "here").iterdir())


def test_the_corrected_command_runs_where_the_refused_one_was(corpus, tiny, tmp_path):
    out = tmp_path / "out"
    flags = [f"--input={corpus}", f"--output={out}", "--threads=1", f"--model={tiny}", "--text=text"]
    assert dedup.main([*flags, "--max_pairs=1", "--threshold=0.9"]) == 2
    assert dedup.main(flags) == 0


def test_a_folder_of_other_things_or_of_another_run_is_not_touched(corpus, tiny, tmp_path):
    flags = [f"--input={corpus}", "--threads=1", f"--model={tiny}", "--text_a=text", "--text_b=text_b"]
    other, ours = tmp_path / "other", tmp_path / "ours"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    assert score.main([*flags, f"--output={ours}"]) == 0

    before = state(tmp_path)
    assert score.main([*flags, f"--output={other}"]) == 2
    assert score.main([*flags, f"--output={ours}", "--symmetric"]) == 2
    assert dedup.main([f"--input={corpus}", f"--output={ours}", f"--model={tiny}", "--text=text"]) == 2
    assert state(tmp_path) == before


def test_a_run_that_was_killed_before_it_committed_anything_is_no_obstacle(corpus, tiny, tmp_path):
    flags = [f"--input={corpus}", "--threads=1", f"--model={tiny}", "--text_a=text", "--text_b=text_b"]
    out = tmp_path / "out"
    (out / "_run").mkdir(parents=True)
    (out / "_run" / "run.json").write_text('{"pipeline": "score", "settings": {}}')
    assert score.main([*flags, f"--output={out}"]) == 0


def test_a_refused_evaluation_writes_no_file(corpus, tiny, tmp_path):
    out = tmp_path / "deep" / "metrics.json"
    flags = [f"--input={corpus}", f"--model={tiny}", "--text_a=text", "--text_b=text_b"]
    assert evaluate.main([*flags, "--score=twice", f"--json={out}"]) == 2
    assert not out.parent.exists()


REFUSED_LATE = {
    "ids that recur": (dedup, "--text=text", "--id=twice"),
    "more pairs than are to be scored": (dedup, "--text=text", "--max_pairs=1"),
    "vectors of two widths": (dedup, "--text=text", "--candidates=neighbours", "--embedding=vector"),
    "recurring ids on Beam": (dedup, "--text=text", "--id=twice", "--runner=DirectRunner"),
    "texts of two widths": (mine, "--text=text", "--embedding=vector"),
}


def contents(folder):
    """The state of all files except the lock, which names its last holder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"]
    return {path: path.read_bytes() for path in files}


@pytest.mark.parametrize("why", REFUSED_LATE)
def test_what_overwrite_would_drop_stays_when_the_command_is_refused(corpus, tiny, tmp_path, why):
    verb, *options = REFUSED_LATE[why]
    out = tmp_path / "out"
    flags = [f"--input={corpus}", f"--output={out}", "--threads=1", f"--model={tiny}"]
    assert verb.main([*flags, "--text=text"]) == 0
    before = contents(out)
    assert verb.main([*flags, *options, "--overwrite"]) == 2
    assert contents(out) == before
    assert (
        verb.main([*flags, "--text=text", "--seed=1" if verb is mine else "--threshold=0.5", "--overwrite"])
        == 0
    )
    assert not list((out / "_run").glob("earlier*"))

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import pytest

from beam_sts import PairScorer
from beam_sts.cli.evaluate import main
from beam_sts.evaluation import agreement
from tests import checkpoints

WHAT = ("plays", "jumps", "fell", "sits", "reads", "sleeps")
TEXTS = [f"{who} {what}." for who in ("A man", "Nobody") for what in WHAT]
PAIRS = [(a, b) for a in TEXTS for b in TEXTS[::2]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(checkpoints.bert_hash(tmp_path_factory.mktemp("model")))


def table(gold, pairs=PAIRS, names=("sentence1", "sentence2", "gold")):
    return pa.table(dict(zip(names, [[a for a, _ in pairs], [b for _, b in pairs], gold], strict=True)))


def write(folder, content, name="pairs.parquet"):
    if name.endswith(".parquet"):
        pq.write_table(content, folder / name)
    else:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in content.to_pylist()]
        (folder / name).write_text("".join(lines), encoding="utf-8")
    return str(folder / name)


def golds():
    return np.random.default_rng(3).uniform(0, 5, len(PAIRS))


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.jsonl"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_numbers_are_those_of_the_scorer(tmp_path, model, capsys, name, symmetric):
    file = write(tmp_path, table(golds()), name)
    out = tmp_path / "new" / "out.json"
    flags = ["--symmetric"] if symmetric else []
    assert main(["--input", file, "--score", "gold", "--model", model, "--json", str(out), *flags]) == 0
    wanted = agreement(PairScorer(model).score(PAIRS, symmetric=symmetric), golds())
    said = json.loads(out.read_text())
    assert said["pearson"] == pytest.approx(wanted.pearson, abs=1e-6)
    assert said["spearman"] == pytest.approx(wanted.spearman, abs=1e-6)
    assert (said["rows_read"], said["rows_scored"], said["rows_rejected"]) == (len(PAIRS), len(PAIRS), 0)
    assert said["pairs_per_second"] == pytest.approx(len(PAIRS) / said["seconds"])
    screen = capsys.readouterr().out
    assert f"Pearson   {wanted.pearson:.4f}" in screen
    assert f"Spearman  {wanted.spearman:.4f}" in screen


def test_the_precision_is_the_one_asked_for(tmp_path):
    file = write(tmp_path, table(golds()))
    said = []
    for precision in ("fp32", "bf16"):
        out = tmp_path / f"{precision}.json"
        assert main(["--input", file, "--score", "gold", "--precision", precision, "--json", str(out)]) == 0
        wanted = agreement(PairScorer(precision=precision).score(PAIRS), golds())
        said.append(json.loads(out.read_text())["pearson"])
        assert said[-1] == pytest.approx(wanted.pearson, abs=1e-6)
    assert said[0] != said[1]


def test_rows_that_cannot_be_used_are_counted_and_named(tmp_path, model, capsys):
    lines = [json.dumps({"text1": a, "text2": b, "g": g}) for (a, b), g in zip(PAIRS, golds(), strict=True)]
    lines[1] = '{"text1": null, "text2": "x", "g": 1}'
    lines[4] = '{"text1": "x", "text2": "y", "g": null}'
    lines[5] = '{"text1": "x", "text2": "y", "g": NaN}'
    lines[7] = "{broken"
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.json"
    assert main(["--input", str(file), "--score", "g", "--model", model, "--json", str(out)]) == 0
    said = json.loads(out.read_text())
    assert (said["rows_read"], said["rows_rejected"]) == (len(PAIRS), 4)
    assert [(each["row"], each["reason"].split(":")[0]) for each in said["rejected"]] == [
        (1, "null in column 'text1'"),
        (4, "null in column 'g'"),
        (5, "nan in column 'g'"),
        (7, "line 8"),
    ]
    keep = [index for index in range(len(PAIRS)) if index not in (1, 4, 5, 7)]
    wanted = agreement(PairScorer(model).score([PAIRS[i] for i in keep]), golds()[keep])
    assert said["pearson"] == pytest.approx(wanted.pearson, abs=1e-6)
    assert "4 rejected" in capsys.readouterr().out


def test_several_files_are_one_input(tmp_path, model):
    half = len(PAIRS) // 2
    whole = table(golds())
    write(tmp_path, whole.slice(0, half), "a.parquet")
    write(tmp_path, whole.slice(half), "b.jsonl")
    out = tmp_path / "out.json"
    assert main(["--input", str(tmp_path), "--score", "gold", "--model", model, "--json", str(out)]) == 0
    wanted = agreement(PairScorer(model).score(PAIRS), golds())
    assert json.loads(out.read_text())["pearson"] == pytest.approx(wanted.pearson, abs=1e-6)


def test_plot_and_json_on_another_file_system(tmp_path, model):
    pytest.importorskip("matplotlib")
    import fsspec

    file = write(tmp_path, table(golds()))
    base = ["--input", file, "--score", "gold", "--model", model]
    assert main([*base, "--json", "memory://e/out.json", "--plot", "memory://e/out.png"]) == 0
    memory = fsspec.filesystem("memory")
    assert json.loads(memory.cat("/e/out.json"))["rows_scored"] == len(PAIRS)
    assert memory.cat("/e/out.png").startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "flags", "said"),
    [
        (table(golds()), ["--score", "label"], r"'label'.*'sentence1', 'sentence2', 'gold'"),
        (
            table(golds()),
            ["--score", "sentence1"],
            "row 0: not a number: 'A man plays.' in column 'sentence1'",
        ),
        (table([[1.0]] * len(PAIRS)), ["--score", "gold"], "'gold' holds list.*, not numbers"),
        (table(golds(), names=("a", "b", "gold")), ["--score", "gold"], "no text columns.*'a', 'b', 'gold'"),
        (
            table(golds()),
            ["--score", "gold", "--text_a", "gold", "--text_b", "gold"],
            "holds double, not texts",
        ),
        (table([2.5] * len(PAIRS)), ["--score", "gold"], "undefined: all 72 gold scores .* are 2.5"),
        (table([1.0], PAIRS[:1]), ["--score", "gold"], "at least 2 rows"),
        (
            table([1.0, None, None], PAIRS[:3]),
            ["--score", "gold"],
            "least 2 rows.*2 rows rejected.*row 1: null",
        ),
        (table(golds()), ["--score", "gold", "--json", "/dev/null/x.json"], "--json.*cannot be written"),
        (table(golds()), ["--score", "gold", "--plot", "/"], "--plot /: is a folder"),
        (table(golds()), ["--score", "gold", "--model", "beam-sts-nanno"], "beam-sts-nanno"),
        (table(golds()), ["--score", "gold", "--device", "cuda"], "no CUDA device"),
        (table(golds()), ["--score", "gold", "--threads", "0"], "--threads 0"),
    ],
)
def test_mistakes_are_one_screen_and_exit_2(tmp_path, capsys, content, flags, said):
    import re

    assert main(["--input", write(tmp_path, content), *flags]) == 2
    screen = capsys.readouterr().err
    assert re.search(said, screen, flags=re.DOTALL)
    assert "Traceback" not in screen
    assert len(screen.splitlines()) < 12


def test_equal_scores_are_said_to_have_no_correlation(tmp_path, model, capsys):
    file = write(tmp_path, table([1.0, 2.0], [PAIRS[0]] * 2))
    assert main(["--input", file, "--score", "gold", "--model", model]) == 2
    assert "all 2 model scores are" in capsys.readouterr().err


def test_no_file(tmp_path, capsys):
    assert main(["--input", str(tmp_path / "none.parquet"), "--score", "x"]) == 2
    assert "none.parquet" in capsys.readouterr().err


def test_as_a_command_without_matplotlib_and_without_a_terminal(tmp_path, model):
    """In a real process, a missing package for the plot is reported before scoring, with the extra's name."""
    file = write(tmp_path, table(golds()))
    code = (
        "import sys; sys.modules['matplotlib'] = None; import beam_sts.cli.evaluate as e; sys.exit(e.main())"
    )
    flags = ["--input", file, "--score", "gold", "--model", model]
    plotting = [sys.executable, "-c", code, *flags, "--plot", str(tmp_path / "p.png")]
    done = subprocess.run(plotting, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'beam_sts[plot]'" in done.stderr
    assert not (tmp_path / "p.png").exists()
    plain = [sys.executable, "-m", "pipelines.evaluate", *flags]
    done = subprocess.run(plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Pearson" in done.stdout
    assert "pairs/s" not in done.stderr  # a progress bar is for terminals


ANSWERS = ("answer", "reference", "system")


def test_groups_have_their_means_and_intervals(tmp_path, model, capsys):
    systems = ["good"] * 30 + ["bad"] * (len(PAIRS) - 31) + ["once"]
    file = write(tmp_path, table(systems, names=ANSWERS), "answers.jsonl")
    out = tmp_path / "out.json"
    columns = ["--text_a", "answer", "--text_b", "reference", "--group", "system"]
    assert main(["--input", file, *columns, "--model", model, "--json", str(out)]) == 0
    said = json.loads(out.read_text())
    scores = PairScorer(model).score(PAIRS)
    assert said["pearson"] is None
    assert said["mean"]["mean"] == pytest.approx(scores.mean(), abs=1e-6)
    groups = {group["group"]: group for group in said["groups"]}
    assert {name: group["count"] for name, group in groups.items()} == {"good": 30, "bad": 41, "once": 1}
    assert groups["good"]["mean"] == pytest.approx(scores[:30].mean(), abs=1e-6)
    assert groups["good"]["low"] <= groups["good"]["mean"] <= groups["good"]["high"]
    assert groups["once"]["low"] is None
    means = [group["mean"] for group in said["groups"]]
    assert means == sorted(means, reverse=True)
    screen = capsys.readouterr().out
    assert "95% confidence" in screen
    assert main(["--input", file, *columns, "--model", model, "--json", str(out)]) == 0
    assert json.loads(out.read_text())["groups"] == said["groups"]


def test_a_group_column_that_is_missing_is_named(tmp_path, model, capsys):
    file = write(tmp_path, table(golds()))
    assert main(["--input", file, "--group", "sytem", "--model", model]) == 2
    assert "--group: column 'sytem' is not in the input" in capsys.readouterr().err


def test_gold_scores_of_csv_files_are_read_as_numbers(tmp_path, model):
    marks = [*map(str, golds()[:-2].round(3)), "n/a", ""]
    rows = [f'"{a}","{b}",{mark}' for (a, b), mark in zip(PAIRS, marks, strict=True)]
    (tmp_path / "in.csv").write_text("\n".join(["text1,text2,mark", *rows]))
    out = tmp_path / "out.json"
    flags = ["--input", str(tmp_path / "in.csv"), "--score", "mark", "--model", model]
    assert main([*flags, "--json", str(out)]) == 0
    said = json.loads(out.read_text())
    wanted = agreement(PairScorer(model).score(PAIRS[:-2]), golds()[:-2].round(3))
    assert said["pearson"] == pytest.approx(wanted.pearson, abs=1e-6)
    assert [each["reason"] for each in said["rejected"]] == [
        "not a number: 'n/a' in column 'mark'",
        "not a number: '' in column 'mark'",
    ]

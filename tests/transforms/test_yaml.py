"""The unchanged Beam YAML examples run with the embedded model."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import beam_sts.transforms

ROOT = Path(__file__).parents[2]
PROVIDERS = Path(beam_sts.transforms.__file__).with_name("providers.yaml")


def run(name, folder, monkeypatch):
    for module in ("docstring_parser", "jsonschema"):
        pytest.importorskip(module, reason="needs the extra 'yaml'")
    from apache_beam.yaml import main

    text = (ROOT / "examples" / name).read_text().replace("path: out/yaml", f"path: {folder}")
    monkeypatch.chdir(ROOT)
    main.run(["--yaml_pipeline", text, "--runner=FnApiRunner"])
    return {path.name.split("-0000")[0]: pq.read_table(path) for path in folder.iterdir()}


def test_pairs_are_scored(tmp_path, monkeypatch):
    found = run("score.yaml", tmp_path, monkeypatch)
    assert set(found["matches"].column_names) == {"id", "sentence1", "sentence2", "gold", "score"}
    assert found["matches"].num_rows > 5
    assert min(found["matches"]["score"].to_pylist()) >= 0.8
    assert found["rejected"].num_rows == 0


def test_texts_are_deduplicated(tmp_path, monkeypatch):
    found = run("dedup.yaml", tmp_path, monkeypatch)
    assert sorted(found["kept"]["id"].to_pylist()) == [1, 3]
    (removed,) = found["removed"].to_pylist()
    assert (removed["id"], removed["survivor"]) == (2, 1)
    assert removed["score"] >= 0.9
    (rejected,) = found["not-compared"].to_pylist()
    assert rejected == {"id": 4, "text": None, "reject_reason": "null in field 'text'"}


def test_pairs_are_mined(tmp_path, monkeypatch):
    found = run("mine.yaml", tmp_path, monkeypatch)
    pairs = found["pairs"].to_pylist()
    assert set(pairs[0]) == {"sentence1", "sentence2", "score", "origin", "split"}
    best = max(pairs, key=lambda row: row["score"])
    assert {text[:10] for text in (best["sentence1"], best["sentence2"])} == {"The old br", "The bridge"}
    assert any("adjacent" in row["origin"] for row in pairs)
    (rejected,) = found["not-used"].to_pylist()
    assert rejected == {"text": " ", "reject_reason": "empty text"}


def test_the_provider_file_names_what_the_examples_use():
    (provider,) = yaml.safe_load(PROVIDERS.read_text())
    for name in ("score.yaml", "dedup.yaml", "mine.yaml"):
        (used,) = yaml.safe_load((ROOT / "examples" / name).read_text())["providers"]
        assert used["transforms"].items() <= provider["transforms"].items()

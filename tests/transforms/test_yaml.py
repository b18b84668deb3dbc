"""The unchanged Beam YAML examples run with the embedded model."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

import beam_sts.transforms
from beam_sts.errors import UserError

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


def test_queries_are_mined(tmp_path, monkeypatch):
    found = run("mine_queries.yaml", tmp_path, monkeypatch)
    pairs = found["pairs"].to_pylist()
    given = {row["sentence1"]: row["sentence2"] for row in pairs if row["origin"].startswith("given")}
    assert given["How much sun do tomatoes need?"] == "Tomatoes need six hours of sun a day."
    assert {row["sentence1"] for row in pairs} == set(given)
    assert len(pairs) > len(given) == 2
    assert found["not-used"].to_pylist() == [{"text": " ", "reject_reason": "empty text"}]


def test_the_provider_file_names_what_the_examples_use():
    (provider,) = yaml.safe_load(PROVIDERS.read_text())
    for name in ("score.yaml", "dedup.yaml", "mine.yaml", "mine_queries.yaml"):
        (used,) = yaml.safe_load((ROOT / "examples" / name).read_text())["providers"]
        assert used["transforms"].items() <= provider["transforms"].items()


SOURCES = {
    "ScorePairs": "{id: 1, sentence1: a, sentence2: b}",
    "DeduplicateTexts": "{id: 1, text: a}",
    "RemovePassages": "{id: 1, text: a}",
    "MinePairs": "{id: 1, text: a}",
}
LONG = "x" * 100_000
# A transform, its config in YAML, and what the error says. Beam itself refuses keys that are no texts, and an
# error_handling without an output that another transform reads.
HOSTILE = [
    ("ScorePairs", "{precision: fp23}", "precision 'fp23': is not one of"),
    ("ScorePairs", "{precision: 16}", "precision 16: is not one of"),
    ("ScorePairs", "{precision: [fp32]}", r"precision \['fp32'\]: is not one of"),
    ("ScorePairs", "{precison: fp32}", "precison"),
    ("ScorePairs", "{model: 5}", "model 5: must be the name, folder or URL"),
    ("ScorePairs", "{model: {a: {b: {c: [1, {d: null}]}}}}", "model {'a'.*must be the name, folder or URL"),
    ("ScorePairs", "{model: beam-sts-nanno}", "did you mean 'beam-sts-nano'"),
    ("ScorePairs", "{symmetric: maybe}", "symmetric 'maybe': must be True or False"),
    ("ScorePairs", "{batch_size: 0x7fffffffffffffffffff, model_copies: -1}", "model_copies -1"),
    ("ScorePairs", "{score_column: ''}", "score_column ''"),
    ("ScorePairs", "{text_a: [a, b]}", "text_a"),
    ("ScorePairs", "{text_a: nothing, text_b: sentence2}", "nothing"),
    ("ScorePairs", "{trust_remote_code: 1}", "trust_remote_code 1: must be True or False"),
    ("DeduplicateTexts", "{threshold: 90}", "threshold 90: must be between 0 and 1"),
    ("DeduplicateTexts", "{threshold: .nan}", "threshold nan: must be between 0 and 1"),
    ("DeduplicateTexts", "{threshold: .inf}", "threshold inf: must be between 0 and 1"),
    ("DeduplicateTexts", "{threshold: 1e-1}", "threshold '1e-1': must be between 0 and 1"),
    ("DeduplicateTexts", "{threshold: 2026-11-30}", "threshold .*must be between 0 and 1"),
    ("DeduplicateTexts", "{threshold: null}", "threshold None: must be between 0 and 1"),
    ("DeduplicateTexts", "{threshold: yes}", "threshold True: must be between 0 and 1"),
    ("DeduplicateTexts", "{treshold: 0.9}", "treshold"),
    ("DeduplicateTexts", "{keep: [longest]}", "keep"),
    ("DeduplicateTexts", "{keep: 'highest:'}", "keep 'highest:'"),
    ("DeduplicateTexts", "{keep: 'highest:nothing'}", "nothing"),
    ("DeduplicateTexts", "{candidates: exact}", "candidates"),
    ("DeduplicateTexts", "{candidates: [minhsh]}", "minhsh"),
    ("DeduplicateTexts", "{candidates: [[exact]]}", "candidates"),
    ("DeduplicateTexts", "{candidates: {exact: minhash}}", "candidates"),
    ("DeduplicateTexts", "{bucket_cap: 1}", "bucket_cap 1: must be at least 2"),
    ("DeduplicateTexts", "{bucket_cap: 4.5}", "bucket_cap 4.5: must be a whole number"),
    ("DeduplicateTexts", "{neighbours: '3'}", "neighbours '3': must be a whole number"),
    ("DeduplicateTexts", "{cascade_band: [0.9]}", "cascade_band"),
    ("DeduplicateTexts", "{thresholds: 0.5}", "thresholds 0.5: must be a list"),
    ("DeduplicateTexts", "{id: nothing}", "nothing"),
    ("DeduplicateTexts", "{guard: !!binary aGVsbG8=}", "guard"),
    ("DeduplicateTexts", "{linkage: " + LONG + "}", "linkage"),
    ("RemovePassages", "{words: -1}", "words"),
    ("RemovePassages", "{unit: paragraph, text: nothing}", "nothing"),
    ("MinePairs", "{test_share: 2}", "test_share 2: must be between 0 and 1"),
    ("MinePairs", "{seed: 1.5}", "seed 1.5: must be a whole number"),
    ("MinePairs", "{text: nothing}", "nothing"),
    ("MinePairs", "{place: id}", "place 'id': needs document"),
]


@pytest.mark.parametrize(("kind", "config", "said"), HOSTILE, ids=lambda each: str(each)[:60])
def test_a_wrong_config_is_an_error_of_the_user_before_the_run(kind, config, said, monkeypatch):
    """Beam YAML adds the place of the transform to the message."""
    for module in ("docstring_parser", "jsonschema"):
        pytest.importorskip(module, reason="needs the extra 'yaml'")
    from apache_beam import Pipeline
    from apache_beam.yaml import main

    monkeypatch.setattr(Pipeline, "run", lambda *_, **__: pytest.fail("the pipeline runs"))
    pipeline = f"""
pipeline:
  type: chain
  transforms:
    - type: Create
      config: {{elements: [{SOURCES[kind]}]}}
    - type: {kind}
      config: {config}
providers:
  - type: python
    config: {{}}
    transforms: {{{kind}: beam_sts.transforms.yaml.{kind}}}
"""
    with pytest.raises(Exception, match=said) as caught:
        main.run(["--yaml_pipeline", pipeline, "--runner=FnApiRunner"])
    found = caught.value
    while not isinstance(found, UserError):
        found = found.__cause__ or found.__context__
        assert found is not None, caught.value
    assert len(str(found)) < 1000

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from beam_sts import PairScorer
from beam_sts.cli import train
from beam_sts.errors import UserError
from beam_sts.io.slices import ReadOptions
from beam_sts.models.checksums import CHECKED, CHECKSUMS, verify_checksums
from beam_sts.models.registry import EMBEDDED
from beam_sts.training import teacher
from beam_sts.training.calibration import rescale
from beam_sts.training.data import DataError, read_columns, read_scored_pairs
from beam_sts.training.fit import FitSettings, TrainingPairs, predict
from beam_sts.training.further import further_pairs
from beam_sts.training.leakage import HeldOutTextError
from beam_sts.training.probes import probe_triples
from beam_sts.training.recipe import SIZES, Recipe
from beam_sts.training.sets import gold_pairs, mined_texts
from beam_sts.training.smoke import smoke_recipe
from beam_sts.training.stages import STAGES, workspace
from beam_sts.training.student import matching_start, parameter_count
from beam_sts.training.student_stages import finetuning_pairs, scaling
from beam_sts.training.table import TableSettings


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    root = tmp_path_factory.mktemp("smoke")
    assert train.main(["all", "--smoke", "--work_dir", str(root), "--threads", "2"]) == 0
    return root


def test_smoke_runs_every_stage_and_exports_a_checkpoint_that_cross_encoder_loads(smoke):
    from sentence_transformers import CrossEncoder

    folder = smoke / "export-tiny-0"
    assert {path.name for path in folder.iterdir()} >= {*CHECKED, CHECKSUMS, "README.md"}
    verify_checksums(folder)
    model = CrossEncoder(str(folder), device="cpu")
    scores = model.predict([("The cat sleeps.", "The cat sleeps."), ("", "a")])
    assert np.all((scores > 0) & (scores < 1))
    results = json.loads((smoke / "evaluate-tiny-0" / "results.json").read_text())
    assert results["STS-B test"]["pairs"] > 0
    assert results["STS-B test"]["order_swap"] < 1e-5
    assert set(results["probes"]["ranking"]) == {"order", "number", "name", "negation", "topic"}


def test_a_training_has_a_page(smoke):
    html = (smoke / "report.html").read_text()
    results = json.loads((smoke / "evaluate-tiny-0" / "results.json").read_text())
    assert f"{results['STS-B test']['pearson']:.4f}" in html
    for name in ("pretrain", "finetune"):
        losses = json.loads((smoke / f"{name}-tiny-0" / "done.json").read_text())["losses"]
        assert len(losses) > 5
        assert f"over {losses[-1][0]:,} pairs: from {losses[0][1]:.3f} to {losses[-1][1]:.3f}" in html
    assert "losses" not in (smoke / "export-tiny-0" / "README.md").read_text()
    assert "<script" not in html


def test_the_last_fit_is_scaled_to_the_gold_scores(smoke):
    noted = json.loads((smoke / "calibrate-tiny-0" / "done.json").read_text())
    assert noted["slope"] > 0
    if (noted["slope"], noted["bias"]) == (1, 0):  # scaling did not help on dev
        assert noted["dev error scaled"] >= noted["dev error as it was"]
        return
    gold = read_scored_pairs(str(smoke / "data" / "train.parquet"))
    pairs = [(gold.texts[a], gold.texts[b]) for a, b in zip(gold.left, gold.right, strict=True)]
    scores = PairScorer(smoke / "export-tiny-0").score(pairs)
    # The bias with the least cross-entropy makes the means equal.
    assert scores.mean() == pytest.approx(gold.scores.mean(), abs=1e-3)


@pytest.mark.parametrize(("slope", "bias", "helps"), [(0.5, 1.5, True), (1.0, 0.0, False)])
def test_logits_are_scaled_to_the_gold_scores_where_that_helps(slope, bias, helps):
    model, tokenizer = teacher.cross_encoder(EMBEDDED / "beam-sts-pico")
    probes = [(t.anchor, other) for t in probe_triples()[::4] for other in (t.paraphrase, t.other)]
    first, second = map(list, zip(*probes, strict=True))
    gold = TrainingPairs.of(first, second, [0.5] * len(first))
    # Here the gold scores are the model's scores, so slope 1 and bias 0 are the best.
    gold = dataclasses.replace(gold, scores=predict(model, tokenizer, gold, precision="fp32"))
    rescale(model, slope, bias)
    found = scaling(model, tokenizer, gold, gold)
    wanted = (1 / slope, -bias / slope) if helps else (1.0, 0.0)
    assert (found["slope"], found["bias"]) == pytest.approx(wanted, abs=0.02)
    rescale(model, found["slope"], found["bias"])
    np.testing.assert_allclose(predict(model, tokenizer, gold, precision="fp32"), gold.scores, atol=0.01)


def test_fine_tuning_sees_gold_pairs_twice_and_some_of_the_others(smoke):
    before, after, labelled = (
        json.loads((smoke / stage / "done.json").read_text())["pairs"]
        for stage in ("pretrain-tiny-0", "finetune-tiny-0", "labels")
    )
    recipe = smoke_recipe(smoke / "data")
    work = workspace(smoke, recipe)
    train = read_scored_pairs(str(smoke / "data" / "train.parquet"))
    gold = len(train)
    assert labelled > recipe.labelled_again
    made = round(recipe.replay * (before - gold - labelled))
    texts = sum(not work.held_out.has_sentence(text) for text in train.texts)
    doubted = after - (2 * gold + recipe.labelled_again + made + texts)
    assert len(mined_texts(smoke / "pairs")) < doubted <= 2 * texts, "sentences, and copies of them"


def test_a_sentence_that_sts_b_shares_with_its_test_split_is_not_paired_with_itself(smoke, tmp_path):
    splits = ("train", "dev", "test")
    train, dev, test = (pq.read_table(smoke / "data" / f"{split}.parquet") for split in splits)
    shared = test.column("sentence1")[0].as_py()
    row = {"sentence1": shared, "sentence2": "Nobody has said this before.", "score": 0.0}
    train = pa.concat_tables([train, pa.Table.from_pylist([row], schema=train.schema)])
    for split, table in zip(splits, (train, dev, test), strict=True):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    recipe = dataclasses.replace(smoke_recipe(smoke / "data"), stsb=str(tmp_path / "{split}.parquet"))
    pairs = finetuning_pairs(recipe, workspace(smoke, recipe))
    equal = {pairs.texts[a] for a, b in zip(pairs.left, pairs.right, strict=True) if a == b}
    assert shared in pairs.texts
    assert shared not in equal
    assert equal > set(read_scored_pairs(recipe.stsb.format(split="train")).texts[:5])


def test_a_training_can_start_from_a_checkpoint(smoke, tmp_path):
    """No vocabulary and no table are made, and a mean with nothing but the start is the start."""
    start = smoke / "export-tiny-0"
    shutil.copytree(smoke / "labels", tmp_path / "labels")
    few, none = (FitSettings(epochs=epochs, batch_size=32) for epochs in (0.1, 0.0))
    recipe = dataclasses.replace(
        smoke_recipe(smoke / "data"),
        start=str(start),
        start_share=1.0,
        changed=30,
        forms=20,
        start_pairs=30,
        pretrain=few,
        finetune=none,
    )
    work = workspace(tmp_path, recipe)
    work.run("finetune")
    before = load_file(start / "model.safetensors")
    for stage in ("pretrain", "finetune"):
        after = load_file(work.folder(stage) / "model.safetensors")
        assert before.keys() == after.keys()
        for name, values in before.items():
            np.testing.assert_array_equal(values, after[name])
    assert not (work.folder("table") / "table.npy").exists()
    counts = [
        json.loads((root / "pretrain-tiny-0" / "done.json").read_text())["pairs"]
        for root in (smoke, tmp_path)
    ]
    gold = gold_pairs(recipe, work.held_out)
    added = further_pairs(recipe, work, str(start))
    assert counts[1] - counts[0] == sum(map(len, added)) - sum(map(len, gold))
    assert len(added) == 3 + 3 + 2 * len(gold)


@pytest.mark.parametrize(("size", "count"), [("mini", 4_131_841), ("nano", 978_817), ("pico", 431_281)])
def test_each_size_has_its_number_of_parameters(size, count):
    config = SIZES[size].config()
    table = np.zeros((config.vocab_size, config.projections), np.float32)
    assert parameter_count(matching_start(config, table, seed=0)) == count


def test_every_option_of_the_recipe_reaches_it():
    command = train.parser()
    arguments, wanted = [], {}
    for number, field in enumerate(dataclasses.fields(Recipe), start=3):
        if isinstance(field.default, FitSettings):
            arguments += [f"--{field.name}_epochs", str(number)]
            wanted[field.name] = number
        elif isinstance(field.default, TableSettings):
            arguments += [f"--{field.name}_steps", str(number), f"--{field.name}_learning_rate", "0.5"]
            wanted[field.name] = TableSettings(steps=number, learning_rate=0.5)
        elif field.name == "size":
            arguments += ["--size", "pico"]
            wanted["size"] = "pico"
        elif isinstance(field.default, bool):
            arguments.append(f"--{field.name}")
            wanted[field.name] = True
        elif field.name == "source_limits":
            arguments += ["--source_limits", "a=5", "b=6"]
            wanted[field.name] = {"a": 5, "b": 6}
        elif isinstance(field.default, float):  # a share
            arguments += [f"--{field.name}", "0.5"]
            wanted[field.name] = 0.5
        elif field.name == "read":
            arguments += ["--delimiter", ";", "--quotes", "off", "--encoding", "cp1252"]
            wanted[field.name] = ReadOptions(";", False, "cp1252")
        else:
            arguments += [f"--{field.name}", str(number)]
            kind = int if field.type == "int | None" else type(field.default)
            wanted[field.name] = (
                (str(number),) if kind is tuple else (kind if kind in (int, float) else str)(number)
            )
    recipe = train.recipe_of(command.parse(["all", *arguments]))
    got = {name: getattr(recipe, name) for name in wanted}
    assert {name: getattr(value, "epochs", value) for name, value in got.items()} == wanted


def test_a_stage_says_on_standard_error_what_it_does(tmp_path):
    # In a separate process, because libraries set log handlers when they are imported.
    command = [sys.executable, "-m", "pipelines.train", "vocabulary", "--smoke", "--work_dir", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "vocabulary: started" in said
    assert "vocabulary: done in" in said
    (*lines, last) = subprocess.run(
        [*command, "--log_format=json"], capture_output=True, text=True, check=True
    ).stderr.splitlines()
    assert "skipped" in json.loads(last)["message"], lines


def test_finished_stages_are_skipped_and_changed_settings_run_again(smoke, caplog):
    recipe = smoke_recipe(smoke / "data")
    work = workspace(smoke, recipe)
    assert all(work.result(name) is not None for name in STAGES)
    with caplog.at_level("INFO"):
        work.run("export")
    assert "skipped" in caplog.text
    changed = workspace(smoke, dataclasses.replace(recipe, replay=0.5))
    assert changed.result("pretrain") is not None
    assert changed.result("finetune") is None
    assert changed.result("export") is None


def test_labels_go_on_where_they_stopped(smoke, tmp_path):
    shutil.copytree(smoke, tmp_path / "work")
    recipe = smoke_recipe(smoke / "data")
    work = workspace(tmp_path / "work", recipe)
    folder = work.folder("labels")
    before = np.load(folder / "scores.npy")
    part = next(folder.glob("part-*.safetensors"))
    with safe_open(part, "np") as opened:
        save_file({"rows": np.full_like(before, 0.5)}, part, opened.metadata())
    (folder / "done.json").unlink()
    work.run("labels")
    assert (np.load(folder / "scores.npy") == 0.5).all(), "a finished part is read, not scored again"


def test_a_stage_alone_asks_for_the_stages_before_it(tmp_path, capsys):
    assert train.main(["pretrain", "--smoke", "--work_dir", str(tmp_path)]) == 2
    assert "stage 'pretrain' needs 'table' first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("replay", "1.5"), ("replay", "nan"), ("swaps", "-1"), ("threads", "0")]
)
def test_numbers_out_of_range_are_refused_before_the_work(tmp_path, capsys, option, value):
    assert train.main(["all", "--smoke", "--work_dir", str(tmp_path / "work"), f"--{option}", value]) == 2
    assert f"--{option} {value}" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_options_that_cannot_work_are_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        train.main(["all", "--work_dir", "x", "--stsb", "stsb.parquet"])
    assert stop.value.code == 2
    assert "{split}" in capsys.readouterr().err


def test_held_out_pairs_in_given_data_are_dropped_and_never_trained_on(smoke, tmp_path):
    recipe = smoke_recipe(smoke / "data")
    test = recipe.stsb.format(split="test")
    work = workspace(smoke, dataclasses.replace(recipe, gold=(test,)))
    from beam_sts.training.sets import gold_pairs, texts_of

    _, given = gold_pairs(work.recipe, work.held_out)
    assert len(given) == 0
    from beam_sts.training.leakage import check_leakage

    with pytest.raises(HeldOutTextError, match=r"test\.parquet: row 0"):
        check_leakage(*texts_of(read_scored_pairs(test)), work.held_out, test)


def test_pairs_scored_elsewhere_are_trained_on_but_for_held_out_ones(smoke, tmp_path):
    shutil.copytree(smoke, tmp_path / "work")
    recipe = smoke_recipe(smoke / "data")
    held = read_scored_pairs(recipe.stsb.format(split="test"))
    rows = [(f"Parcel {i} came late.", f"Parcel {i} was late.", 0.9) for i in range(40)]
    rows += [(held.texts[held.right[0]], held.texts[held.left[0]], 0.5), (held.texts[0], "A parcel.", 0.1)]
    columns = ("sentence1", "sentence2", "score")
    given = tmp_path / "scored.parquet"
    pq.write_table(pa.table(dict(zip(columns, zip(*rows, strict=True), strict=True))), given)
    work = workspace(tmp_path / "work", dataclasses.replace(recipe, scored=(str(given),)))
    before = json.loads((smoke / "pretrain-tiny-0" / "done.json").read_text())["pairs"]
    assert work.result("labels") is not None, "labels do not depend on pairs scored elsewhere"
    work.run("pretrain")
    assert work.result("pretrain")["pairs"] == before + 40


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv"])
@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_scored_pairs_read_from_files_of_any_file_system(tmp_path, suffix, scheme):
    import fsspec
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.table({"sentence1": ["a", "b"], "sentence2": ["c", "d"], "score": [0.5, 1.0], "other": [1, 2]})
    path = f"{scheme}{tmp_path}/pairs.{suffix}"
    with fsspec.open(path, "wb") as stream:
        if suffix == "parquet":
            pa.parquet.write_table(table, stream)
        elif suffix == "csv":
            pa.csv.write_csv(table, stream)
        else:
            stream.write("\n".join(json.dumps(row) for row in table.to_pylist()).encode())
    pairs = read_scored_pairs(path)
    assert (pairs.texts, pairs.scores.tolist()) == (["a", "b", "c", "d"], [0.5, 1.0]) or len(pairs) == 2
    assert [pairs.texts[i] for i in pairs.left] == ["a", "b"]


def test_data_errors_name_the_place_and_the_way_out(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet

    for absent in ("*.parquet", "absent.parquet"):
        with pytest.raises(UserError, match=re.escape(f"{tmp_path / absent}: no file matches")):
            read_columns(str(tmp_path / absent), ("text",))
    path = tmp_path / "x.parquet"
    pa.parquet.write_table(
        pa.table({"sentence1": ["a", None], "sentence2": ["b", "c"], "score": [0.1, 0.2]}), path
    )
    with pytest.raises(DataError, match="no column 'text'; its columns are 'sentence1'"):
        read_columns(str(path), ("text",))
    with pytest.raises(DataError, match="row 1 has a text that is null"):
        read_scored_pairs(str(path))
    pa.parquet.write_table(pa.table({"sentence1": ["a"], "sentence2": ["b"], "score": [3.2]}), path)
    with pytest.raises(DataError, match=r"score 3\.2, but scores must be between 0 and 1"):
        read_scored_pairs(str(path))
    with pytest.raises(DataError, match="hub:owner/name"):
        read_columns("hub:nothing", ("text",))


@pytest.mark.parametrize("name", sorted(path.name for path in EMBEDDED.iterdir() if path.is_dir()))
def test_embedded_models_are_whole_small_and_quick_to_load(name):
    folder = EMBEDDED / name
    assert (folder / "model.safetensors").stat().st_size <= 4_500_000
    # CPU time, because elapsed time depends on other processes.
    code = (
        "import time\n"
        "from beam_sts.models.checkpoint import load_checkpoint\n"
        f"load_checkpoint({name!r}).model()\n"
        "times = []\n"
        "for _ in range(3):\n"
        "    begun = time.process_time()\n"
        f"    load_checkpoint({name!r}).model()\n"
        "    times.append(time.process_time() - begun)\n"
        "print(min(times))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert float(done.stdout.split()[-1]) < 0.3

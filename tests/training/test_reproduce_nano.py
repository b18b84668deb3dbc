"""Both fits of the embedded nano in one command."""

import json
import subprocess

import pytest

from scripts import reproduce_nano


def test_a_missing_folder_is_named_before_any_work(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        reproduce_nano.main(["--work_dir", str(tmp_path / "work"), "--data", str(tmp_path / "absent")])
    assert stopped.value.code == 2
    assert f"--data {tmp_path / 'absent'}: no such folder" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_the_second_fit_goes_on_from_the_student_of_the_first(tmp_path):
    known = ["git", "-C", str(reproduce_nano.ROOT), "cat-file", "-e", reproduce_nano.FIRST]
    if subprocess.run(known, capture_output=True).returncode:
        pytest.skip(f"needs a clone with commit {reproduce_nano.FIRST[:7]}")
    reproduce_nano.main(["--work_dir", str(tmp_path), "--seeds", "0", "--smoke"])
    first, second = tmp_path / "first" / "export-tiny-0", tmp_path / "second"
    assert not (tmp_path / "first" / "merge-tiny-0").exists()  # a stage that its code does not know
    assert json.loads((second / "pretrain-tiny-0" / "done.json").read_text())["student"] == first.name
    for name in ("model.safetensors", "tokenizer.json"):
        assert (second / "finetune-tiny-0" / name).read_bytes() == (first / name).read_bytes()
    merged = (second / "export-tiny-0" / "model.safetensors").read_bytes()
    assert merged != (first / "model.safetensors").read_bytes()


def test_a_stage_that_fails_ends_the_run(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        reproduce_nano.train(
            reproduce_nano.ROOT, "--work_dir", str(tmp_path), "--stsb", "absent/{split}.parquet"
        )
    assert stopped.value.code == 2

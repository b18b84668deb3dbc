"""Embedded models are verified when they are loaded."""

import shutil

import pytest

from beam_sts import UserError
from beam_sts.models import checkpoint, source
from beam_sts.models.checksums import CHECKED, CHECKSUMS, verify_checksums, write_checksums
from beam_sts.models.registry import EMBEDDED, embedded_models


def test_a_damaged_file_is_named_with_both_sums(tmp_path):
    for name in CHECKED:
        (tmp_path / name).write_text("x")
    write_checksums(tmp_path)
    verify_checksums(tmp_path)
    (tmp_path / "config.json").write_text("y")
    with pytest.raises(UserError, match=r"config\.json has SHA-256 [0-9a-f]{64}, .* says [0-9a-f]{64}"):
        verify_checksums(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        verify_checksums(tmp_path)


def test_sums_that_leave_out_a_file_are_refused(tmp_path):
    for name in CHECKED:
        (tmp_path / name).write_text("x")
    write_checksums(tmp_path)
    sums = (tmp_path / CHECKSUMS).read_text()
    (tmp_path / CHECKSUMS).write_text("".join(sums.splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match=f"does not list {CHECKED[-1]}"):
        verify_checksums(tmp_path)
    (tmp_path / CHECKSUMS).unlink()
    with pytest.raises(UserError, match="cannot be read"):
        verify_checksums(tmp_path)


@pytest.mark.parametrize("name", embedded_models())
def test_a_damaged_embedded_model_is_refused_at_load(name, tmp_path, monkeypatch):
    shutil.copytree(EMBEDDED / name, tmp_path / name)
    for module in (checkpoint, source):
        monkeypatch.setattr(module, "EMBEDDED", tmp_path)
    assert checkpoint.load_checkpoint(name).path == tmp_path / name
    weights = bytearray((tmp_path / name / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / name / "model.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=r"model\.safetensors has SHA-256"):
        checkpoint.load_checkpoint(name)

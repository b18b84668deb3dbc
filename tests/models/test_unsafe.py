"""Pickles and remote code are refused with the reason, and loaded only if the user allows it."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file

from beam_sts import PairScorer, UserError
from beam_sts.models.checkpoint import load_checkpoint

PAIRS = [("a man", "a guitar"), ("the fox", "the dog"), ("", "oil")]


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.fixture
def pickled(copy):
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    return copy


def test_a_pickle_is_refused_and_the_message_names_the_flag(pickled):
    with pytest.raises(UserError, match=r"can run code.*--allow_pickle"):
        PairScorer(pickled)


def test_a_pickle_is_loaded_where_the_user_allows_it(pickled, tiny):
    scores = PairScorer(pickled, allow_pickle=True).score(PAIRS)
    assert scores.tobytes() == PairScorer(tiny).score(PAIRS).tobytes()


def test_safetensors_are_preferred_even_then(copy, tiny):
    (copy / "pytorch_model.bin").write_bytes(b"not a pickle")
    scores = PairScorer(copy, allow_pickle=True).score(PAIRS)
    assert scores.tobytes() == PairScorer(tiny).score(PAIRS).tobytes()


class _Runs:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused_even_where_pickles_are_allowed(pickled, tmp_path):
    torch.save({"classifier.weight": _Runs(tmp_path / "ran")}, pickled / "pytorch_model.bin")
    with pytest.raises(UserError, match="not a complete file of tensors"):
        PairScorer(pickled, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


CODE = """
from pathlib import Path
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertForSequenceClassification

Path({marker!r}).touch()

class CustomConfig(BertConfig):
    model_type = "custom_sts"

class CustomModel(BertForSequenceClassification):
    config_class = CustomConfig
"""


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A checkpoint whose architecture is its own Python code, which creates a file when it runs."""
    from tests.architectures import bert

    folder, marker = bert(tmp_path / "remote"), tmp_path / "ran"
    (folder / "modeling_custom.py").write_text(CODE.format(marker=str(marker)))
    file = folder / "config.json"
    config = json.loads(file.read_text()) | {
        "model_type": "custom_sts",
        "auto_map": {
            "AutoConfig": "modeling_custom.CustomConfig",
            "AutoModelForSequenceClassification": "modeling_custom.CustomModel",
        },
    }
    file.write_text(json.dumps(config))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    return folder, marker


def test_remote_code_is_not_run_and_the_message_names_the_flag(remote):
    folder, marker = remote
    with pytest.raises(UserError, match=r"'custom_sts'.*not run.*--trust_remote_code"):
        load_checkpoint(folder)
    assert not marker.exists()


def test_remote_code_is_run_where_the_user_trusts_it(remote):
    folder, marker = remote
    scores = PairScorer(folder, trust_remote_code=True).score(PAIRS)
    assert marker.exists()
    assert 0 <= scores.min() < scores.max() <= 1


def test_an_unknown_architecture_without_code_is_an_error(copy):
    file = copy / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_type": "no_such_thing"}))
    with pytest.raises(UserError, match=r"config\.json cannot be used.*no_such_thing"):
        load_checkpoint(copy)


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_half_written_file_is_one_error_that_names_the_folder(copy, file, share):
    whole = (copy / file).read_bytes()
    (copy / file).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match="copy"):
        PairScorer(copy)


def test_a_vocabulary_that_the_weights_do_not_have_is_an_error(copy):
    file = copy / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"vocab_size": 500}))
    with pytest.raises(UserError, match=r"do not fit config\.json"):
        PairScorer(copy)

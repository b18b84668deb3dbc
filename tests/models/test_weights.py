"""Weights read without torch equal torch's, whatever their type, shards and names."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.models.torch_weights import read_tensors
from beam_sts.models.weights import read_stored, stored_tensors
from tests.checkpoints import bert_hash


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_every_type_are_torchs(tmp_path, dtype):
    tensors = {
        "a": torch.randn(3, 5, generator=torch.Generator().manual_seed(1)).to(dtype),
        "b": torch.zeros(0, 4, dtype=dtype),
        "c": torch.tensor(1.5, dtype=dtype),
        "d": torch.arange(7),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    stored = stored_tensors(tmp_path / "x.safetensors")
    assert stored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert stored[name].shape == tuple(tensor.shape)
        assert stored[name].dtype == str(tensor.dtype).removeprefix("torch.")
        read = read_stored(stored)[name]
        expected = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
        assert read.dtype == expected.dtype
        assert np.array_equal(read, expected)


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("pickled", [False, True])
def test_those_of_a_checkpoint_are_torchs(tmp_path, sharded, pickled):
    folder = bert_hash(tmp_path / "model")
    tensors = read_tensors(folder)
    stem, ending = ("pytorch_model", "bin") if pickled else ("model", "safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = [names[::2], names[1::2]] if sharded else [names]
    places = {}
    for number, part in enumerate(parts):
        file = f"{stem}-{number}.{ending}" if sharded else f"{stem}.{ending}"
        save = torch.save if pickled else save_file
        save({name: tensors[name].bfloat16() for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    if sharded:
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps({"weight_map": places}))
    weights = load_checkpoint(folder, allow_pickle=pickled).weights()
    assert weights.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert np.array_equal(weights[name], tensor.bfloat16().float().numpy())


def test_a_tensor_that_changed_since_its_header_was_read_is_refused(tmp_path):
    from beam_sts import UserError

    file = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(4, dtype=torch.bfloat16)}, file)
    stored = stored_tensors(file)["a"]
    save_file({"a": torch.ones(2, dtype=torch.bfloat16)}, file)
    with pytest.raises(UserError, match=r"a has the shape \[2\], not \[4\]"):
        read_stored({"a": stored})

"""Finds a checkpoint's weights, and reads safetensors files as arrays, without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from beam_sts.errors import UserError
from beam_sts.models.files import read_object, reading
from beam_sts.models.tensors import WORD_EMBEDDINGS

_LONGEST_HEADER = 16_000_000
_WEIGHT_FILE = re.compile(r"[\w-][\w.-]*\.(safetensors|bin)")
# The types of safetensors that checks or messages name. Any other type keeps its name.
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a safetensors file, described by its header and not read yet; ``read_stored`` reads it.

    Attributes:
        file: the safetensors file.
        name: the tensor's name.
        shape: its shape.
        dtype: the type of its numbers, such as ``bfloat16``.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Count of dimensions."""
        return len(self.shape)


def read_stored(tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Tensors as arrays. Those in bfloat16 become float32, which represents all of their numbers.

    Args:
        tensors: stored tensors, which are read, and arrays, which are not changed.

    Raises:
        UserError: a file has changed since its header was read.
    """
    arrays = {}
    for file in {t.file for t in tensors.values() if isinstance(t, StoredTensor)}:
        with (
            reading(f"{file}: not a complete safetensors file", "Copy it again."),
            safe_open(file, "np") as stored,
        ):
            for name, tensor in tensors.items():
                if isinstance(tensor, StoredTensor) and tensor.file == file:
                    arrays[name] = _read(stored, tensor)
    return {name: arrays.get(name, tensor) for name, tensor in tensors.items()}


def _read(stored: Any, tensor: StoredTensor) -> NDArray[Any]:
    read = _read_bfloat16(tensor) if tensor.dtype == "bfloat16" else stored.get_tensor(tensor.name)
    array: NDArray[Any] = read
    if array.shape != tensor.shape:
        raise ValueError(f"{tensor.name} has the shape {list(array.shape)}, not {list(tensor.shape)}")
    return array


def _read_bfloat16(tensor: StoredTensor) -> NDArray[np.float32]:
    """A tensor in bfloat16, a type that NumPy lacks, read from its position in the file."""
    with tensor.file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        entry = json.loads(stream.read(length))[tensor.name]
        begin, end = entry["data_offsets"]
        stream.seek(8 + length + begin)
        halves = np.frombuffer(stream.read(end - begin), "<u2")
    floats: NDArray[np.float32] = (halves.astype(np.uint32) << 16).view(np.float32)
    return floats.reshape(tuple(entry["shape"]))


def read_weights(
    folder: Path, load: Callable[[Path], dict[str, Any]], load_pickle: Callable[[Path], dict[str, Any]] | None
) -> dict[str, Any]:
    """All tensors of a folder by name: ``model.safetensors``, its shards, or ``pytorch_model.bin``.

    Args:
        folder: the folder of the files.
        load: reads a safetensors file.
        load_pickle: reads a ``.bin`` file if there is no safetensors file; None refuses it.

    Raises:
        UserError: the weights are missing, not allowed, or incomplete.
    """
    for stem, ending, read in (("model", "safetensors", load), ("pytorch_model", "bin", load_pickle)):
        if read is None:
            break
        file = folder / f"{stem}.{ending}"
        if file.is_file():
            return read(file)
        index = folder / f"{file.name}.index.json"
        if index.is_file():
            return _read_shards(index, read)
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    if pickled:
        raise UserError(
            f"{folder}: model.safetensors is missing ({', '.join(pickled)} is a pickle, which can run code, "
            "and is not loaded). Save the checkpoint as safetensors, or, if you trust its source, "
            "set --allow_pickle (allow_pickle=True)."
        )
    raise UserError(f"{folder}: model.safetensors is missing. Save the checkpoint as safetensors.")


def _read_shards(index: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The tensors of an index: exactly those that it lists, each in the listed file only."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{index}: has no weight_map. Copy it again.")
    for name in places.values():
        if not isinstance(name, str):
            raise UserError(
                f"{index}: is not an index: {name!r} is not a weight file of the checkpoint folder."
            )
    for name in sorted(set(places.values())):
        if not _WEIGHT_FILE.fullmatch(name):
            raise UserError(
                f"{index}: {name[:100]!r} is not a weight file of the checkpoint folder, and nothing "
                "outside of the checkpoint is read."
            )
        if not (index.parent / name).is_file():
            raise UserError(f"{index.parent}: {name} is missing. Copy the checkpoint again.")
    weights: dict[str, Any] = {}
    for name in sorted(set(places.values())):
        file = index.parent / name
        here = read(file)
        expected = {tensor for tensor, place in places.items() if place == name}
        for tensor in sorted(expected ^ set(here)):
            state = "lacks" if tensor in expected else "has"
            place = name if tensor in expected else places.get(tensor, "nowhere")
            raise UserError(
                f"{file}: {state} the tensor {tensor}, which {index.name} places in {place}. Copy both again."
            )
        weights.update(here)
    return weights


def check_header(file: Path) -> None:
    """Check that the header of a safetensors file is not too long.

    Raises:
        ValueError: the header is longer than the limit.
    """
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if header > _LONGEST_HEADER:
        raise ValueError(f"its header has {header:,} bytes, but the limit is {_LONGEST_HEADER:,}")


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name, from its header only.

    Raises:
        UserError: the file is damaged.
    """
    with reading(f"{file}: not a complete safetensors file", "Copy it again."):
        check_header(file)
        found = {}
        with safe_open(file, "np") as stored:
            for name in stored.keys():  # noqa: SIM118
                entry = stored.get_slice(name)
                dtype = str(entry.get_dtype())
                found[name] = StoredTensor(file, name, tuple(entry.get_shape()), _DTYPES.get(dtype, dtype))
    return found


def rename_projection(weights: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """Rename the projection of a published checkpoint to its name in this package.

    Authors name it differently: it is the only other matrix among the word embeddings. Its bias is optional.

    Args:
        weights: tensors by name, stored tensors or arrays.
        place: the checkpoint, for messages.

    Raises:
        UserError: there is not exactly one candidate.
    """
    others = [
        name
        for name in weights
        if name.startswith(WORD_EMBEDDINGS) and not name.startswith(f"{WORD_EMBEDDINGS}embeddings.")
    ]
    matrices = [name for name in others if weights[name].ndim == 2]
    biases = [name for name in others if weights[name].ndim == 1]
    if len(matrices) != 1 or len(biases) > 1 or len(others) != len(matrices) + len(biases):
        raise UserError(
            f"{place}: expected one projection under {WORD_EMBEDDINGS}*, found "
            f"{sorted(others) or 'none'}. Use a complete BERT-hash checkpoint."
        )
    renamed = dict(weights)
    matrix = renamed.pop(matrices[0])
    bias = renamed.pop(biases[0]) if biases else np.broadcast_to(np.float32(0), matrix.shape[:1])
    renamed[f"{WORD_EMBEDDINGS}projections.weight"] = matrix
    renamed[f"{WORD_EMBEDDINGS}projections.bias"] = bias
    return renamed

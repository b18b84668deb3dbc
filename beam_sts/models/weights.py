"""Where a checkpoint's weights are, and those of safetensors files as arrays; neither needs torch."""

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
# Of safetensors, those that checks or errors name; any other is named as it is there.
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
    """A tensor of a safetensors file: what its header says of it, until ``read_stored``.

    Attributes:
        file: where it is.
        name: of the tensor.
        shape: its sizes.
        dtype: the type of its numbers, such as ``bfloat16``.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """How many sizes."""
        return len(self.shape)


def read_stored(tensors: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Tensors as arrays, each of its shape; those in bfloat16 as float32, which holds each of their numbers.

    Args:
        tensors: stored ones, which are read, and arrays, which stay as they are.

    Raises:
        UserError: a file is not what it was when its header was read.
    """
    arrays = {}
    for file in {t.file for t in tensors.values() if isinstance(t, StoredTensor)}:
        with (
            reading(f"{file}: not a whole safetensors file", "Copy it again."),
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
    """A tensor of a type that NumPy has not, by its place in the file."""
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
        folder: where the files are.
        load: reads a safetensors file.
        load_pickle: reads a ``.bin`` where there is no safetensors file; None refuses it.

    Raises:
        UserError: the weights are absent, not allowed, or not whole.
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
            "and is not loaded). Save the checkpoint as safetensors, or, if you trust its source, say "
            "--allow_pickle (allow_pickle=True)."
        )
    raise UserError(f"{folder}: model.safetensors is missing. Save the checkpoint as safetensors.")


def _read_shards(index: Path, read: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """The tensors of an index's files: those that it names, each in its file and in no other."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise UserError(f"{index}: has no weight_map. Copy it again.")
    for name in places.values():
        if not isinstance(name, str):
            raise UserError(f"{index}: is not an index: {name!r} is no weight file of the checkpoint folder.")
    for name in sorted(set(places.values())):
        if not _WEIGHT_FILE.fullmatch(name):
            raise UserError(
                f"{index}: {name[:100]!r} is no weight file of the checkpoint folder; nothing outside of the "
                "checkpoint is read."
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
            said = name if tensor in expected else places.get(tensor, "nowhere")
            raise UserError(
                f"{file}: {state} the tensor {tensor}, which {index.name} places in {said}. Copy both again."
            )
        weights.update(here)
    return weights


def check_header(file: Path) -> None:
    """See that the header of a safetensors file is not too long to be read.

    Raises:
        ValueError: it is.
    """
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if header > _LONGEST_HEADER:
        raise ValueError(f"a header of {header:,} bytes, at most {_LONGEST_HEADER:,} are read")


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name, none of them read yet.

    Raises:
        UserError: the file is damaged.
    """
    with reading(f"{file}: not a whole safetensors file", "Copy it again."):
        check_header(file)
        found = {}
        with safe_open(file, "np") as stored:
            for name in stored.keys():  # noqa: SIM118
                entry = stored.get_slice(name)
                dtype = str(entry.get_dtype())
                found[name] = StoredTensor(file, name, tuple(entry.get_shape()), _DTYPES.get(dtype, dtype))
    return found


def rename_projection(weights: Mapping[str, Any], place: Path) -> dict[str, Any]:
    """Give the projection of a published checkpoint the name it has here.

    Whatever its author called it, it is the one other matrix under the word embeddings; its bias is optional.

    Args:
        weights: tensors by name, stored ones or arrays.
        place: the checkpoint, for the error.

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
            f"{place}: expected one projection under {WORD_EMBEDDINGS}*, found {sorted(others) or 'none'}. "
            "Take a complete BERT-hash checkpoint."
        )
    renamed = dict(weights)
    matrix = renamed.pop(matrices[0])
    bias = renamed.pop(biases[0]) if biases else np.broadcast_to(np.float32(0), matrix.shape[:1])
    renamed[f"{WORD_EMBEDDINGS}projections.weight"] = matrix
    renamed[f"{WORD_EMBEDDINGS}projections.bias"] = bias
    return renamed

"""Damages files of checkpoints at random, loads each and reports the outcome; run by ``python -m`` or a test.

A reader may refuse a damaged file with a UserError, or score with it if the damage cannot be detected. A
crash, a hang, another error or too much memory is a fault.
"""

from __future__ import annotations

import json
import random
import shutil
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.isolated import Isolated

NUMBERS = [0, 1, -1, 2, 3, 255, 256, 4096, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64, -(2**63), 10**30]
NUMBERS += [0.5, -0.0, 1e-300, 1e308, float("inf"), float("nan")]
OTHERS = [
    None,
    True,
    False,
    "",
    "x",
    "[CLS]",
    "../..",
    "\0",
    "\ud800",
    "a" * 5000,
    [],
    {},
    [[]],
    [1],
    {"a": {}},
]
SECONDS, MEMORY = 10.0, 2 << 30


def mutate_json(content: Any, rng: random.Random) -> Any:
    """A JSON document with some values changed, removed, duplicated or moved."""
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        places = list(_places(content, rng))
        if not places:
            return rng.choice(OTHERS)
        holder, key = rng.choice(places)
        value = holder[key]
        kind = rng.randrange(8)
        if kind == 0:
            holder[key] = rng.choice(NUMBERS)
        elif kind == 1:
            holder[key] = rng.choice(OTHERS)
        elif kind == 2 and isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = rng.choice(
                [value + 1, value - 1, -value, value * 2, value * 1000, str(value), float(value)]
            )
        elif kind == 3:
            del holder[key]
        elif kind == 4:
            other, name = rng.choice(places)
            holder[key] = (
                json.loads(json.dumps(other[name])) if name in other or isinstance(other, list) else 0
            )
        elif kind == 5 and isinstance(holder, list):
            holder.insert(key, value)
        elif kind == 6 and isinstance(value, str | list) and value:
            holder[key] = value * rng.choice([2, 1000, 1_000_000 // len(json.dumps(value)) + 1])
        elif kind == 7:
            deep: Any = value
            for _ in range(rng.choice([3, 200, 20_000])):
                deep = [deep]
            return _Raw(content, holder, key, deep)
    return content


class _Raw:
    """A document with a value that is nested too deep for ``json.dumps``."""

    def __init__(self, content: Any, holder: Any, key: Any, deep: Any) -> None:
        depth = 0
        while isinstance(deep, list) and len(deep) == 1 and depth < 20_000:
            deep, depth = deep[0], depth + 1
        holder[key] = "@deep@"
        self.text = json.dumps(content).replace('"@deep@"', "[" * depth + "1" + "]" * depth)


def _places(content: Any, rng: random.Random) -> Any:
    """The paths of some hundred values."""
    level = [content]
    while level:
        node = level.pop()
        keys = (
            list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        )
        for key in rng.sample(keys, 40) if len(keys) > 40 else keys:
            yield node, key
            level.append(node[key])


def mutate_bytes(raw: bytes, rng: random.Random) -> bytes:
    """A file that is truncated, has flipped bytes, or has removed, duplicated or overwritten parts."""
    data, kind = bytearray(raw), rng.randrange(6)
    at = rng.randrange(len(data) + 1)
    if kind == 0:
        return bytes(data[:at])
    if kind == 1:
        for _ in range(rng.choice([1, 4, 64])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        del data[at : at + rng.choice([1, 8, 1000])]
    elif kind == 3:
        data[at:at] = data[at : at + rng.choice([1, 8, 1000])]
    elif kind == 4:
        data[at : at + 8] = rng.randbytes(8)
    else:
        data += rng.randbytes(rng.choice([1, 8, 4096]))
    return bytes(data)


def mutate_safetensors(raw: bytes, rng: random.Random) -> bytes:
    """A safetensors file with a changed header length, header or numbers."""
    (length,) = struct.unpack("<Q", raw[:8])
    header, numbers = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    kind = rng.randrange(5)
    if kind == 0:
        return (
            struct.pack("<Q", rng.choice([n for n in NUMBERS if isinstance(n, int) and 0 <= n < 2**64]))
            + raw[8:]
        )
    if kind == 1:
        changed = mutate_json(header, rng)
    elif kind == 2:
        names = [name for name in header if name != "__metadata__"]
        entry = header[rng.choice(names)]
        entry["shape"] = rng.choice(
            [entry["shape"][::-1], [*entry["shape"], 1], [], [0], [-1], [2**32, 2**32], entry["shape"][:1]]
        )
        entry["dtype"] = rng.choice(
            ["F32", "F16", "I64", "BF16", "F64", "U8", "BOOL", "C64", "F8_E4M3", "x", entry["dtype"]]
        )
        changed = header
    elif kind == 3:
        names = [name for name in header if name != "__metadata__"]
        a, b = rng.choice(names), rng.choice(names)
        header[a], header[b] = header[b], header[a]
        changed = header
    else:
        return raw[: 8 + length] + mutate_bytes(numbers, rng)
    text = changed.text if isinstance(changed, _Raw) else json.dumps(changed)
    encoded = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded + numbers


def damage(folder: Path, rng: random.Random) -> str:
    """Change one or two files of a checkpoint, and return their names."""
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix in (".json", ".safetensors")
    ]
    changed = rng.sample(files, rng.choice([1, 1, 1, 2]))
    for file in changed:
        raw = file.read_bytes()
        if rng.random() < 0.2:
            file.write_bytes(mutate_bytes(raw, rng))
        elif file.suffix == ".safetensors":
            file.write_bytes(mutate_safetensors(raw, rng))
        else:
            content = mutate_json(json.loads(raw), rng)
            text = content.text if isinstance(content, _Raw) else json.dumps(content)
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return ", ".join(str(file.relative_to(folder)) for file in changed)


def seeds(root: Path) -> list[Path]:
    """Intact checkpoints for each reader: plain, sharded, of modules, with each kind of tokenizer."""
    from safetensors.torch import load_file, save_file

    from tests import architectures
    from tests.checkpoints import bert_hash

    made = [
        bert_hash(root / "signed", rotary_dims=4, segment_dims=2),
        bert_hash(root / "published"),
        architectures.bert(root / "bert"),
        architectures.roberta(root / "roberta"),
        architectures.modernbert(root / "modernbert", "mean"),
        architectures.gemma3(root / "gemma3", bidirectional=True, padding_side="left"),
        architectures.neobert(root / "neobert"),
    ]
    sharded = shutil.copytree(made[0], root / "sharded")
    weights = load_file(sharded / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    places = {}
    for number in (0, 1):
        some = {name: weights[name] for name in sorted(weights)[number::2]}
        file = f"model-{number + 1:05}-of-00002.safetensors"
        save_file(some, sharded / file, {"format": "pt"})
        places |= dict.fromkeys(some, file)
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return [*made, sharded, *_stacks(root, made[2]), _followed(root, made[2])]


def _followed(root: Path, plain: Path) -> Path:
    """A checkpoint whose tokenizer.json is fully used, with steps of several kinds."""
    folder = shutil.copytree(plain, root / "followed")
    steps = [
        {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        {"type": "Prepend", "prepend": "a"},
    ]
    for name, changed in (
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ("tokenizer.json", {"normalizer": {"type": "Sequence", "normalizers": steps}}),
    ):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | changed))
    return folder


def _stacks(root: Path, plain: Path) -> list[Path]:
    """Checkpoints of modules: a classifier, and an encoder with pooling and dense layers."""
    import torch
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import AutoTokenizer, BertModel

    from beam_sts.models.checkpoint import load_checkpoint

    CrossEncoder(str(plain), device="cpu").save_pretrained(str(root / "stack"))
    loaded = load_checkpoint(plain)
    BertModel(loaded.config, add_pooling_layer=False).save_pretrained(root / "encoder")
    AutoTokenizer.from_pretrained(plain).save_pretrained(root / "encoder")
    modules = [
        Transformer(str(root / "encoder")),
        Pooling(32, pooling_mode="mean"),
        Dense(32, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    CrossEncoder(modules=modules, device="cpu").save_pretrained(str(root / "pooled"))
    return [root / "stack", root / "pooled"]


def fuzz(seconds: float, seed: int, kept: Path | None = None) -> tuple[Counter[str], list[str]]:
    """Damage and load checkpoints for some time.

    Args:
        seconds: how long.
        seed: seed of the first case; a fault is reported with the seed of its case.
        kept: folder for the checkpoints of faults.

    Returns:
        The count of each outcome, and a line for each fault.
    """
    outcomes: Counter[str] = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as name, closing(Isolated(SECONDS, MEMORY)) as isolated:
        root = Path(name)
        whole = seeds(root / "seeds")
        for folder in whole:
            kind, detail = isolated.outcome(folder, backend="native")
            if kind != "scored":
                raise RuntimeError(f"{folder.name} is not whole: {kind} {detail}")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rng = random.Random(seed)
            folder = rng.choice(whole)
            case = shutil.copytree(folder, root / "case")
            files = damage(case, rng)
            kind, detail = isolated.outcome(case, backend="native")
            outcomes[kind] += 1
            if kind not in ("scored", "UserError"):
                faults.append(f"seed {seed}, {folder.name}, {files}: {kind}: {detail}")
                print(faults[-1], flush=True)
                if kept:
                    shutil.copytree(case, kept / str(seed), dirs_exist_ok=True)
            shutil.rmtree(case)
            seed += 1
    return outcomes, faults


if __name__ == "__main__":
    counted, _ = fuzz(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
    print(sum(counted.values()), dict(counted))

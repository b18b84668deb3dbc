"""The files of a checkpoint, read within bounds; whatever is wrong with one is an error of the user's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from beam_sts.errors import UserError

_MB = 1_000_000
# Bytes of a file that is read whole, by its name. The largest tokenizer.json in use, Gemma's, has 33 MB.
_LARGEST = {
    "tokenizer.json": 64 * _MB,
    "vocab.*": 64 * _MB,
    "merges.txt": 64 * _MB,
    "*.model": 64 * _MB,
    "*.index.json": 16 * _MB,
    "tokenizer_config.json": 16 * _MB,
    "*config*.json": 4 * _MB,
    "modules.json": 4 * _MB,
    "special_tokens_map.json": 4 * _MB,
    "added_tokens.json": 4 * _MB,
    "chat_template.*": 4 * _MB,
}
_DEEPEST = 32


def check_sizes(folder: Path) -> None:
    """See that the files of a folder that are read whole are not too large for it.

    Raises:
        UserError: naming the file, its size and the bound.
    """
    for file in folder.iterdir():
        most = next((size for name, size in _LARGEST.items() if fnmatch(file.name, name)), None)
        if most is not None and file.is_file() and (size := file.stat().st_size) > most:
            raise UserError(f"{file}: {size:,} bytes, at most {most:,} are read. Copy the checkpoint again.")


def read_json(file: Path) -> Any:
    """A JSON file's content; an empty dict if there is no such file.

    Raises:
        UserError: it is not JSON, or nested deeper than anything a checkpoint holds.
    """
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not valid JSON: {error}. Copy the checkpoint again.") from error
    if _depth(content) > _DEEPEST:
        raise UserError(f"{file}: nested deeper than {_DEEPEST} levels. Copy the checkpoint again.")
    return content


def read_object(file: Path) -> dict[str, Any]:
    """The same for a file that must hold an object.

    Raises:
        UserError: it is not JSON, or holds something else.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds {kind_of(content)}, not an object. Copy the checkpoint again.")
    return content


@contextmanager
def reading(place: object, way_out: str = "Copy the checkpoint again.") -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into an error of the user's.

    Raises:
        UserError: naming the place and what the library said.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of a library in Rust is no Exception
        raise UserError(f"{place}: {brief(error) or type(error).__name__}. {way_out}") from error


def brief(error: BaseException) -> str:
    """An error's message on one line, cut to a length that can be read."""
    return " ".join(str(error).split())[:300]


def _depth(content: Any) -> int:
    """Levels of lists and objects, without recursion."""
    deepest, level = 0, [content]
    while level:
        inner = [one for one in level if isinstance(one, dict | list)]
        if not inner or deepest > _DEEPEST:
            break
        deepest += 1
        level = [v for one in inner for v in (one.values() if isinstance(one, dict) else one)]
    return deepest


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return "nothing" if value is None else f"a {type(value).__name__}"

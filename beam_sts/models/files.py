"""Reading the files of a checkpoint within bounds; every fault of a file becomes a ``UserError``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from beam_sts.errors import UserError

_MB = 1_000_000
# Limits, in bytes, of the files that are read whole. The largest known tokenizer.json, Gemma's, has 33 MB.
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
    """Check that the files of a folder that are read whole are not too large.

    Raises:
        UserError: a file is too large; the message names it, its size and the limit.
    """
    for file in folder.iterdir():
        most = next((size for name, size in _LARGEST.items() if fnmatch(file.name, name)), None)
        if most is not None and file.is_file() and (size := file.stat().st_size) > most:
            raise UserError(f"{file}: {size:,} bytes, but the limit is {most:,}. Copy the checkpoint again.")


def read_json(file: Path) -> Any:
    """The content of a JSON file; an empty dict if the file does not exist.

    Raises:
        UserError: the file is not JSON, or is nested too deep.
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
    """The content of a JSON file that must be an object; an empty dict if the file does not exist.

    Raises:
        UserError: the file is not JSON, or is something other than an object.
    """
    content = read_json(file)
    if not isinstance(content, dict):
        raise UserError(f"{file}: holds {kind_of(content)}, not an object. Copy the checkpoint again.")
    return content


@contextmanager
def reading(place: object, way_out: str = "Copy the checkpoint again.") -> Iterator[None]:
    """Turn every exception that a library raises on a damaged file into a ``UserError``.

    Args:
        place: the file, and what is wrong with it, as the start of the message.
        way_out: what the user can do.

    Raises:
        UserError: the library raised; the message has its message.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of a Rust library is not an Exception
        raise UserError(f"{place}: {brief(error) or type(error).__name__}. {way_out}") from error


def brief(error: BaseException) -> str:
    """An error's message on one line, cut to a readable length."""
    return " ".join(str(error).split())[:300]


def _depth(content: Any) -> int:
    """How deep lists and objects are nested, without recursion."""
    deepest, level = 0, [content]
    while level:
        inner = [one for one in level if isinstance(one, dict | list)]
        if not inner or deepest > _DEEPEST:
            break
        deepest += 1
        level = [v for one in inner for v in (one.values() if isinstance(one, dict) else one)]
    return deepest


def kind_of(value: Any) -> str:
    """The type of a JSON value in words."""
    return "nothing" if value is None else f"a {type(value).__name__}"

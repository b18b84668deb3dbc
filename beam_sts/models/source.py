"""Finds a checkpoint by name: embedded, in a local folder, on any file system of fsspec, or on the Hub."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from beam_sts.errors import UserError
from beam_sts.io.files import file_system
from beam_sts.io.storage import refuse_secrets
from beam_sts.models.cache import published, unwritable
from beam_sts.models.registry import EMBEDDED, did_you_mean, embedded_models

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR}
_SUFFIXES = (".json", ".txt", ".model", ".safetensors")


def locate(name: str, *, allow_pickle: bool = False, trust_remote_code: bool = False) -> Path:
    """Find a checkpoint, and fetch it once if it is remote.

    Args:
        name: an embedded model's name, a local folder, an fsspec URL or a Hub id with optional ``@revision``.
        allow_pickle: fetch ``.bin`` files too.
        trust_remote_code: fetch Python files too.

    Returns:
        The local folder.

    Raises:
        UserError: there is no such model, or it cannot be fetched.
    """
    if name in embedded_models():
        return EMBEDDED / name
    refuse_secrets(name)
    if not name.strip():
        raise UserError(f"model {name!r}: the name is empty.")
    if _is_folder(name):
        return _checked(Path(name).expanduser().resolve())
    suffixes = (*_SUFFIXES, *([".bin"] if allow_pickle else []), *([".py"] if trust_remote_code else []))
    if "://" in name:
        return _checked(_copy(name, suffixes))
    if _HUB_ID.fullmatch(name) and not name.startswith(("./", "../")):
        return _checked(_download(name, suffixes))
    if name.startswith((".", "/", "~")):
        raise UserError(f"model {name!r}: there is no such folder.")
    raise _unknown(name)


def check_model_name(name: str) -> None:
    """Check a name before a job is built from it, which other machines may run.

    A name without a slash cannot be a folder of another machine, a URL or a Hub id.

    Raises:
        UserError: there is no such model, or a URL has a secret, which the job would carry.
    """
    refuse_secrets(name)
    elsewhere = "/" in name or "\\" in name or name.startswith((".", "~"))
    if not elsewhere and name not in embedded_models() and not _is_folder(name):
        raise _unknown(name)


def _is_folder(name: str) -> bool:
    return os.path.isdir(os.path.expanduser(name))  # noqa: PTH111, PTH112  raises for no name


def _unknown(name: str) -> UserError:
    return UserError(
        f"model {name!r} is unknown{_hint(name)} It is neither embedded ({_embedded()}) nor a local folder, "
        "an fsspec URL or a Hugging Face id (owner/name)."
    )


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise UserError(f"{folder}: no config.json in this folder, so it is not a checkpoint.")
    return folder


def _hint(name: str) -> str:
    near = did_you_mean(name)
    return f"; did you mean {near!r}?" if near else "."


def _embedded() -> str:
    return ", ".join(embedded_models()) or "none in this installation"


def _copy(url: str, suffixes: tuple[str, ...]) -> Path:
    """The cache folder of a URL's checkpoint files, which are copied once for each state of the source."""
    from fsspec.implementations.local import LocalFileSystem
    from huggingface_hub import constants

    try:
        fs, root = file_system(url)
        if isinstance(fs, LocalFileSystem):
            return Path(root)
        fs.invalidate_cache()
        files = sorted(file for file in fs.find(root) if file.endswith(suffixes))
        state = [(file, fs.size(file), fs.ukey(file)) for file in files]
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"model {url!r} cannot be read: {error}") from error
    if not files:
        raise UserError(f"model {url!r}: no checkpoint files there.")
    target = (
        Path(constants.HF_HOME) / "beam_sts" / hashlib.sha256(repr((url, state)).encode()).hexdigest()[:32]
    )
    if not target.is_dir():
        _fill(target, fs, root, files)
    return target


def _fill(target: Path, fs: Any, root: str, files: list[str]) -> None:
    try:
        with published(target) as partial:
            for file in files:
                relative = PurePosixPath(file).relative_to(root.rstrip("/"))
                if ".." in relative.parts:
                    raise UserError(f"model file {file!r} leaves the checkpoint folder.")
                (partial / relative).parent.mkdir(parents=True, exist_ok=True)
                fs.get_file(file, str(partial / relative))
    except OSError as error:
        raise UserError(f"model files of {root!r} cannot be copied to {target.parent}: {error}") from error


def _download(name: str, suffixes: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    repo, _, revision = name.partition("@")
    wanted: dict[str, Any] = {
        "revision": revision or None,
        "allow_patterns": [f"*{suffix}" for suffix in suffixes],
    }
    try:
        try:
            return Path(snapshot_download(repo, **wanted))
        except OSError as error:  # older versions ask the Hub even for a commit that is in the cache
            try:
                return Path(snapshot_download(repo, **wanted, local_files_only=True))
            except OSError:
                if error.errno in _UNWRITABLE:
                    raise unwritable(constants.HF_HUB_CACHE, error) from error
                raise
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        near = did_you_mean(name)
        hint = f" Did you mean {near!r}?" if near and near != repo else ""
        message = " ".join(str(error).split())[:300].rstrip(".")
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else message
        raise UserError(
            f"model {name!r} is not in the Hugging Face cache and cannot be downloaded: {why}.{hint} "
            f"Use an embedded model ({_embedded()}) or a local folder with the checkpoint, or "
            "download it on a machine with a network and copy the cache (HF_HOME)."
        ) from error

"""Options of object stores: from the command line to every worker, and never into what is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec

from beam_sts.errors import UserError

# Of botocore: waits of up to 20 s between tries, some two minutes in all, also when nothing answers.
_PATIENCE = {"retries": {"mode": "standard", "max_attempts": 10}}
_SECRET_NAME = re.compile(r"key|secret|token|passw|credential|sas|connection_string", re.IGNORECASE)
_PASSWORD = re.compile(r"(://[^/?#@\s]*:)[^/?#@\s]*(@)")
_SIGNATURE = re.compile(r"([?&](?:[\w-]*signature|sig|[\w-]*token|key)=)[^&#\s]*()", re.IGNORECASE)
_SHORTEST = 4  # characters of a secret that is looked for in messages

_secrets: set[str] = set()  # of this process, to keep them out of what it says


class StorageOptions:
    """fsspec's options by protocol, such as ``{"s3": {"endpoint_url": "http://127.0.0.1:9000"}}``.

    They hold for every file system of this process once ``apply`` was called. A worker process applies them
    when it unpickles them, that is, before the step that carries them touches a file.

    >>> StorageOptions({"s3": {"secret": "hunter2"}})
    StorageOptions(s3: secret)
    """

    def __init__(self, by_protocol: dict[str, dict[str, Any]] | None = None) -> None:
        self._by_protocol = by_protocol or {}

    @classmethod
    def parse(cls, text: str) -> StorageOptions:
        """Read JSON, or the JSON file of that path.

        Raises:
            UserError: it is neither, or not an object of objects; the message does not show the content.
        """
        place = "--storage_options"
        if not text.lstrip().startswith("{"):
            place = f"--storage_options {text}"
            try:
                text = Path(text).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                raise UserError(f"{place}: neither a JSON object nor a file that can be read.") from error
        try:
            loaded = json.loads(text)
        except ValueError as error:
            raise UserError(f"{place}: not valid JSON.") from error
        if not isinstance(loaded, dict) or not all(isinstance(value, dict) for value in loaded.values()):
            raise UserError(
                f'{place}: must be options by protocol, such as {{"s3": {{"endpoint_url": "..."}}}}.'
            )
        return cls(loaded)

    def apply(self) -> StorageOptions:
        """Let every file system of this process have these options."""
        fsspec.config.conf.setdefault("s3", {}).setdefault("config_kwargs", _PATIENCE)
        for protocol, options in self._by_protocol.items():
            _secrets.update(_secrets_in(options))
            fsspec.config.conf[protocol] = {**fsspec.config.conf.get(protocol, {}), **options}
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _applied, (self._by_protocol,)

    def __repr__(self) -> str:
        shown = "; ".join(f"{name}: {', '.join(options)}" for name, options in self._by_protocol.items())
        return f"StorageOptions({shown})"


def _applied(by_protocol: dict[str, dict[str, Any]]) -> StorageOptions:
    return StorageOptions(by_protocol).apply()


def _secrets_in(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _secrets_in(value)
        elif isinstance(value, str) and len(value) >= _SHORTEST and _SECRET_NAME.search(name):
            yield value


def hide_secrets(text: str) -> str:
    """A message without the secrets of this process's storage options, and without those in URLs.

    >>> hide_secrets("cannot read https://me:hunter2@host/f?X-Amz-Signature=abc")
    'cannot read https://me:***@host/f?X-Amz-Signature=***'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SIGNATURE.sub(r"\1***\2", _PASSWORD.sub(r"\1***\2", text))


def refuse_secrets(url: str) -> None:
    """See that a path is no URL with a password or a signature: it would be in every summary and message.

    Raises:
        UserError: it is one; the message shows it without them.
    """
    if "://" in url and (_PASSWORD.search(url) or _SIGNATURE.search(url)):
        raise UserError(
            f"{hide_secrets(url)}: a password or signature in a URL would be written into the summary. "
            "Give it by --storage_options FILE, or by the store's own configuration."
        )

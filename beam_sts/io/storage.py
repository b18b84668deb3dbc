"""Options of object stores: from the command line to every worker, and never into what is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fsspec

from beam_sts.errors import UserError
from beam_sts.secrets import has_secret, hide_secrets, parts_of, remember, secrets_of, shown

__all__ = ["StorageOptions", "hide_secrets", "refuse_secrets"]

_PLAIN_NAME = re.compile(r"[\w./~ -]{1,200}")
# Of botocore: waits of up to 20 s between tries, some two minutes in all, also when nothing answers.
_PATIENCE = {"retries": {"mode": "standard", "max_attempts": 10}}


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
            # What is no plain name may be the options themselves, misspelt: it is not shown.
            place += f" {text}" if _PLAIN_NAME.fullmatch(text) else ""
            try:
                text = Path(text).expanduser().read_text(encoding="utf-8")
            except (OSError, ValueError, RuntimeError) as error:
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
            remember(secrets_of(options))
            fsspec.config.conf[protocol] = {**fsspec.config.conf.get(protocol, {}), **options}
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _applied, (self._by_protocol,)

    def __repr__(self) -> str:
        shown = "; ".join(f"{name}: {', '.join(options)}" for name, options in self._by_protocol.items())
        return f"StorageOptions({shown})"


def _applied(by_protocol: dict[str, dict[str, Any]]) -> StorageOptions:
    return StorageOptions(by_protocol).apply()


def refuse_secrets(url: str, flag: str = "") -> None:
    """See that a path is no URL with a secret: it would be in every summary and message.

    Args:
        url: a path, a URL or a chain of URLs.
        flag: the option that it was given by.

    Raises:
        UserError: it is one; the message shows nothing of it but its protocols.
    """
    if not has_secret(url):
        return
    remember(parts_of(url))
    raise UserError(
        f"{flag}{' ' if flag else ''}{shown(url)}: has a user name, password, token or query parameter that "
        "may be secret, and paths are written into summaries and messages. Put it into a file such as "
        '{"s3": {"key": "...", "secret": "..."}} or {"https": {"headers": {"Authorization": "..."}}} and '
        "give --storage_options FILE, or use the store's own configuration (environment, credentials file)."
    )

"""Options of object stores. They are sent to every worker and never shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fsspec

from beam_sts.errors import UserError
from beam_sts.secrets import has_secret, hide_secrets, remember, secret_parts, secrets_of, shown

__all__ = ["StorageOptions", "hide_secrets", "refuse_secrets"]

_PLAIN_NAME = re.compile(r"[\w./~ -]{1,200}")
# For botocore: waits of up to 20 s between attempts, about two minutes in all, also without any response.
_PATIENCE = {"retries": {"mode": "standard", "max_attempts": 10}}


class StorageOptions:
    """fsspec options by protocol, such as ``{"s3": {"endpoint_url": "http://127.0.0.1:9000"}}``.

    They hold for all file systems of this process after ``apply`` was called. A worker applies them when it
    unpickles them, which is before the step that carries them accesses a file.

    >>> StorageOptions({"s3": {"secret": "hunter2"}})
    StorageOptions(s3: secret)
    """

    def __init__(self, by_protocol: dict[str, dict[str, Any]] | None = None) -> None:
        self._by_protocol = by_protocol or {}

    @classmethod
    def parse(cls, text: str) -> StorageOptions:
        """Parse JSON, or the JSON file at a path.

        Raises:
            UserError: it is neither, or not an object of objects. The message does not show the content.
        """
        place = "--storage_options"
        if not text.lstrip().startswith("{"):
            # Text that is not a plain file name may be misspelt options, so it is not shown.
            place += f" {text}" if _PLAIN_NAME.fullmatch(text) else ""
            try:
                text = Path(text).expanduser().read_text(encoding="utf-8")
            except (OSError, ValueError, RuntimeError) as error:
                raise UserError(f"{place}: is neither a JSON object nor a readable file.") from error
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
        """Set these options for all file systems of this process."""
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
    """Refuse a URL that contains a secret, which would appear in summaries and messages.

    Args:
        url: a path, a URL or a chain of URLs.
        flag: the option that gives it.

    Raises:
        UserError: it contains one. The message shows only its protocols.
    """
    if not has_secret(url):
        return
    remember(secret_parts(url))
    raise UserError(
        f"{flag}{' ' if flag else ''}{shown(url)}: has a user name, password, token or query parameter that "
        "may be secret, and paths are written to summaries and messages. Put it into a file such as "
        '{"s3": {"key": "...", "secret": "..."}} or {"https": {"headers": {"Authorization": "..."}}} and '
        "give --storage_options FILE, or use the configuration of the store (environment, credentials file)."
    )

"""Secrets are refused in URLs before these are stored, and hidden in every message.

There is no full list of query parameters that hold secrets. So every query parameter is treated as a secret
unless it is known to be harmless.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote

_SHORTEST = 4  # characters of a secret that is searched for in messages
_LONG = 6  # characters of a part of a URL that is searched for
_HARMLESS = {
    *("branch", "ref", "rev", "revision", "version", "versionid", "generation", "split", "config", "subset"),
    *("page", "per_page", "offset", "limit", "part", "sort", "order", "year", "month", "day", "date"),
    *("download", "dl", "raw", "inline", "format", "encoding", "lang", "language", "locale", "sheet", "gid"),
}
"""Query parameters whose values are shown."""
_LONGEST_HARMLESS = 64  # characters of a harmless value
_WORDS = (
    r"(?:secret|token|passw(?:or)?d|passwd|passphrase|pwd|api[-_]?key|access[-_]?key(?:[-_]?id)?|"
    r"account[-_]?key|shared[-_]?key|private[-_]?key|sas|sig|signature|credentials?|authorization|"
    r"connection[-_]?string|cookie|jwt)"
)
_PLAIN_OPTION = re.compile(
    r"url|endpoint|region|host|port$|profile|project|account_name|user(name)?$|mode|protocol|path|root|cache|"
    r"version|style|type|encoding|repo|org$|revision|bucket|storage|location|level|consistency|agent",
    re.IGNORECASE,
)
"""Names of storage options that hold no secrets. All other texts in the options are treated as secrets."""
_SECRET_VARIABLE = re.compile(rf"(^|_){_WORDS}(_|$)|(^|_)key$", re.IGNORECASE)
_TOKEN = re.compile(
    r"\b(?:A(?:KIA|SIA|ROA|IDA|GPA)[A-Z0-9]{8,}|gh[a-z]_\w{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|"
    r"(?:hf|npm|pypi|dop_v1)_[A-Za-z0-9]{12,}|sk-[\w-]{12,}|xox[a-z]-[\w-]{8,}|AIza[\w-]{12,}|"
    r"ya29\.[\w-]{8,}|eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?)|(?<=@)(?:hf|gh[a-z])_\w+"
)
"""The forms of the access tokens of well-known services."""
_HEADER = re.compile(r"\b(bearer|basic|aws4-hmac-sha256|sharedkey)(\s+)(?!realm)[^\s'\",]{8,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"([\w.-]{{0,40}}{_WORDS}\\?[\"']?\s*(?:=|(?<=[\"'])\s*:)\s*\\?[\"']?)(?!\*\*\*)(?!\d+\b)[^\s\"'\\,;&)}}\]<>]+",
    re.IGNORECASE,
)
_URL = re.compile(r"(?:[\w+.-]{1,40}::)*\b[a-z][a-z0-9+.-]{1,40}:/+[^\s'\"<>|\\]+", re.IGNORECASE)
_SCHEME = re.compile(r"\b([a-z][a-z0-9+.-]{1,40}):/+", re.IGNORECASE)  # two letters or more: C:/ is a drive
_PARAMETER = re.compile(r"([?&;#][^=&?#;/\s]{1,100}=)([^&#;]+)")
_BARE = re.compile(r"([?#])([\w~+%-]{20,})$")

_AT_IS_A_PLACE = {"abfs", "abfss", "wasb", "wasbs", "az", "adl"}  # container@account
_USER_IS_A_NAME = {"sftp", "ssh", "hdfs", "webhdfs", "smb"}  # the user is an account, not a token
_BUCKETS = {"s3", "s3a", "gs", "gcs", "oss", "oci", "r2", "hf", *_AT_IS_A_PLACE}
_ANY_AT = {"memory", "file", "local", "github", "git"}  # no sign-in, or org:repository@revision

_known: set[str] = set()  # secrets of this process, hidden in its messages


def remember(secrets: Iterable[str]) -> None:
    """Hide these secrets in every later message of this process, in every quoted form."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            quoted = {quote(secret), quote(secret, safe=""), unquote(secret)}
            _known.update({secret, *quoted, repr(secret)[1:-1], json.dumps(secret)[1:-1]})


def secrets_of(options: Any, name: str = "") -> Iterator[str]:
    """The secrets among the options of a store: all texts and numbers except those with harmless names."""
    if isinstance(options, dict):
        for key, value in options.items():
            yield from secrets_of(value, str(key))
    elif isinstance(options, (list, tuple)):
        for value in options:
            yield from secrets_of(value, name)
    elif isinstance(options, str) and "://" in options:
        yield from secret_parts(options)
    elif isinstance(options, (str, int)) and not isinstance(options, bool) and not _PLAIN_OPTION.search(name):
        yield str(options)


def secret_parts(url: str) -> Iterator[str]:
    """The parts of a URL that may be secrets: user, password and the values of parameters."""
    for form in (url, unquote(url)):
        for found in _SCHEME.finditer(form):
            signed, at, _ = form[found.end() :].rpartition("@")
            if at:
                yield from (signed, signed.partition(":")[2])
                # Parsers may split it elsewhere, and a token may be in the place of the user.
                pieces = (
                    piece
                    for mark in ":@/"
                    for cut in (signed.partition(mark), signed.rpartition(mark))
                    for piece in cut
                )
                yield from (piece for piece in pieces if len(piece) >= _LONG)
        yield from (value for _, value in _PARAMETER.findall(form))
        yield from (value for _, value in _BARE.findall(form))
        yield from _TOKEN.findall(form)


def hide_secrets(text: str) -> str:
    """Hide in a message the secrets of this process, those in URLs, and whatever looks like a token.

    >>> hide_secrets("cannot read https://me:hunter2@host/f?X-Amz-Signature=abc&page=2")
    'cannot read https://***@host/f?X-Amz-Signature=***&page=2'
    >>> hide_secrets("401 for Bearer abcdefghijkl, api_key=abc")
    '401 for Bearer ***, api_key=***'
    """
    for secret in sorted(_known | _of_environment(), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = _URL.sub(lambda found: _without(found[0]), text)
    text = _TOKEN.sub("***", _HEADER.sub(r"\1\2***", text))
    return _ASSIGNED.sub(r"\1***", text)


def shown(url: str) -> str:
    """A URL, or a chain of URLs, reduced to its protocols, which is safe to show.

    >>> shown("simplecache::s3://key:se/cr+et@bucket")
    'simplecache::s3://***'
    """
    chain = re.match(r"(?:[\w+.-]{1,40}::)*", url)
    found = _SCHEME.search(url)
    return f"{chain[0] if chain else ''}{found[1] if found else ''}://***"


def has_secret(url: str) -> bool:
    """Whether a path is a URL that contains a user, a password, a token or an unknown query parameter."""
    return bool(_SCHEME.search(url)) and (_without(url) != url or bool(_TOKEN.search(url)))


def _of_environment() -> set[str]:
    """Secrets in environment variables, recognised by the names of the variables."""
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    return {value for value in found if len(value) >= _LONG and not os.path.exists(value)}  # noqa: PTH110


def _links(url: str) -> list[str]:
    """The parts of a chained URL such as ``simplecache::https://host/f``. A host may be ``[::1]``."""
    return re.split(r"::(?![^\[\]]*\])", url)


def _without(url: str) -> str:
    """A URL without its secrets; unchanged if it has none."""
    if not _SCHEME.search(url):
        return url
    return "::".join(_without_parameters(_without_user(link)) for link in _links(url))


def _without_user(link: str) -> str:
    found = _SCHEME.match(link)
    if not found:
        return f"***{link[link.rindex('@') :]}" if "@" in link else link
    scheme, rest = found[1].lower(), link[found.end() :]
    authority, slash, path = rest.partition("/")
    at = rest.rfind("@")
    if scheme in _ANY_AT or not (":" in rest[: max(at, 0)] or _signs_in(scheme, unquote(authority), path)):
        return link
    return f"{found[0]}***{rest[at:] if at >= 0 else slash + path}"


def _signs_in(scheme: str, authority: str, path: str) -> bool:
    """Whether a user name or password precedes the host. One that contains a slash extends into the path."""
    user, at, _ = authority.partition("@")
    if at:
        named = scheme in _AT_IS_A_PLACE or scheme in _USER_IS_A_NAME
        return not named or ":" in user or authority.count("@") > 1
    _, _, port = authority.rpartition(":") if ":" in authority else ("", "", "")
    if port and not authority.endswith("]"):  # in a message, a colon follows the URL
        return not port.isdigit() or scheme in _BUCKETS
    return "@" in path and scheme not in _BUCKETS and "." not in authority and not authority.startswith("[")


def _without_parameters(link: str) -> str:
    def shown(found: re.Match[str]) -> str:
        name = unquote(found[1][1:-1]).lower()
        harmless = name in _HARMLESS and len(found[2]) <= _LONGEST_HARMLESS and not _TOKEN.search(found[2])
        return found[0] if harmless else f"{found[1]}***"

    cleaned = _BARE.sub(r"\1***", _PARAMETER.sub(shown, link))
    if cleaned == link and (plain := unquote(link)) != link and _without_parameters(plain) != plain:
        return re.split(r"%3f|%26|%3b|%23", link, maxsplit=1, flags=re.IGNORECASE)[0] + "***"
    return cleaned

"""The settings of a command. Type, default, bounds, help text and option of each are defined once.

The settings of a command are a frozen dataclass that checks its values. From it are made:

- the command line, by :func:`add_options` and :func:`from_args`;
- the signature and documentation of a transform, its Beam YAML form or a function, by :func:`takes`, and the
  check of its keyword arguments, by :func:`made`.

>>> from beam_sts.checks import whole
>>> @dataclass(frozen=True, kw_only=True)
... class Search(Settings):
...     neighbours: int = setting(5, "nearest texts of each", whole(1), metavar="K")
>>> Search().neighbours
5
>>> Search(neighbours=0)
Traceback (most recent call last):
beam_sts.errors.UserError: neighbours 0: must be at least 1.
>>> made(Search, "Search", {"neighbors": 3})
Traceback (most recent call last):
beam_sts.errors.UserError: Search has no 'neighbors'; did you mean 'neighbours'? It has neighbours.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from beam_sts.checks import Check, check_names, one_of

S = TypeVar("S", bound="Settings")
T = TypeVar("T", bound=Callable[..., Any])
_KEY = "setting"


@dataclass(frozen=True)
class Setting:
    """The metadata of a setting. The dataclass field itself has the type and the default.

    Attributes:
        help: a description, for ``--help`` and for the documentation of arguments.
        rule: checks a value.
        option: the name of the command-line option, without dashes; None if there is no option.
        metavar: the placeholder for the value in ``--help``.
        choices: the allowed words, if there is a fixed list.
        read: converts the text of the option to the value, where the type is not enough.
    """

    help: str
    rule: Check
    option: str | None
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    read: Callable[[str], Any] | None = None


def setting(
    default: Any,
    help: str,
    rule: Check | None = None,
    *,
    option: str | None = "",
    metavar: str | None = None,
    choices: Sequence[str] = (),
    read: Callable[[str], Any] | None = None,
) -> Any:
    """Define a field of :class:`Settings`. The arguments are the attributes of :class:`Setting`.

    Args:
        default: the default value.
        help: see :class:`Setting`.
        rule: see :class:`Setting`; not needed with ``choices``.
        option: see :class:`Setting`; by default the name of the field.
        metavar: see :class:`Setting`.
        choices: see :class:`Setting`.
        read: see :class:`Setting`.
    """
    if rule is None:
        rule = one_of(*choices)
    kept = Setting(help, rule, option, metavar, tuple(choices), read)
    return dataclasses.field(default=default, metadata={_KEY: kept})


def like(settings: type[Settings], name: str, default: Any, **changed: Any) -> Any:
    """Copy a field of other settings, with another default and, optionally, other metadata."""
    field = next(field for field in dataclasses.fields(settings) if field.name == name)
    return dataclasses.field(
        default=default, metadata={_KEY: dataclasses.replace(field.metadata[_KEY], **changed)}
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class of the settings of a command: a frozen, keyword-only dataclass of :func:`setting` fields.

    Raises:
        UserError: a value breaks its rule, or two values exclude each other. The message names the setting.
    """

    def __post_init__(self) -> None:
        self.check(str)

    def check(self, label: Callable[[str], str]) -> None:
        """Check each value, then the combination of values.

        Args:
            label: maps the name of a field to the name that messages show.

        Raises:
            UserError: a value is wrong. The first such value is reported.
        """
        for name, found in settings_of(type(self)):
            found.rule(label(name), getattr(self, name))
        self.check_together(label)

    def check_together(self, label: Callable[[str], str]) -> None:
        """Check the combination of values. Subclasses override this."""


def settings_of(settings: type[Settings]) -> Iterator[tuple[str, Setting]]:
    """The settings of a class, each with its name, in the order of the fields."""
    for field in dataclasses.fields(settings):
        if _KEY in field.metadata:
            yield field.name, field.metadata[_KEY]


def rules_of(settings: type[Settings]) -> dict[str, Check]:
    """The rules of the settings that have options, by the names of the options."""
    return {
        found.option or name: found.rule for name, found in settings_of(settings) if found.option is not None
    }


def made(settings: type[S], whose: str, given: Mapping[str, Any]) -> S:
    """Make settings from keyword arguments.

    Args:
        settings: the class of the settings.
        whose: what takes the settings, for the message about an unknown name.
        given: the keyword arguments.

    Raises:
        UserError: a name is unknown (the message gives the closest known name), or a value is wrong.
    """
    check_names(whose, given, [name for name, _ in settings_of(settings)])
    return settings(**given)


def takes(settings: type[Settings], *, but: Collection[str] = ()) -> Callable[[T], T]:
    """Decorator for a function or class that takes ``**settings``: lists them in its signature and docstring.

    In the docstring, the line of ``**settings`` under ``Args:`` is replaced by a line for each setting.

    Args:
        settings: the class of the settings.
        but: names of settings that are left out.
    """

    def decorate(taker: T) -> T:
        function: Any = taker.__init__ if isinstance(taker, type) else taker  # type: ignore[misc]
        signature = inspect.signature(function)
        first = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        left = {*but, *(one.name for one in first)}
        more = [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
            )
            for field in dataclasses.fields(settings)
            if field.name not in left
        ]
        function.__signature__ = signature.replace(parameters=[*first, *more])
        taker.__doc__ = _documented(taker.__doc__ or "", settings, left)
        return taker

    return decorate


def _documented(docstring: str, settings: type[Settings], but: Collection[str]) -> str:
    lines = []
    for line in docstring.split("\n"):
        if line.lstrip().startswith("**settings:"):
            indent = line[: len(line) - len(line.lstrip())]
            lines += [
                f"{indent}{name}: {found.help}." for name, found in settings_of(settings) if name not in but
            ]
        else:
            lines.append(line)
    return "\n".join(lines)


def add_options(group: argparse._ActionsContainer, settings: type[Settings], *names: str) -> None:
    """Add the options of settings to a command line.

    Args:
        group: the parser or group to which they are added.
        settings: the class of the settings.
        names: the names of the fields, in the order of the options.
    """
    hints = typing.get_type_hints(settings)
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name in names:
        found, default = fields[name].metadata[_KEY], fields[name].default
        text = found.help
        more: dict[str, Any] = {}
        kind = _kind(hints[name])
        if kind is bool:
            more["action"] = "store_true"
        elif typing.get_origin(kind) is tuple and not found.read:
            more |= {"nargs": "*", "default": [], "metavar": found.metavar}
        else:
            more |= {"type": found.read or kind, "metavar": found.metavar}
            if found.choices:
                more["choices"] = found.choices
            if default is not None:
                more["default"] = default
                shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
                text += f" (default: {shown})"
        group.add_argument(f"--{found.option or name}", dest=found.option or name, help=text, **more)


def from_args(settings: type[S], args: argparse.Namespace, **more: Any) -> S:
    """Make settings from the parsed options of a command line. Messages name the options.

    Args:
        settings: the class of the settings.
        args: the parsed options; may contain other options too.
        more: values of settings that have no option.

    Raises:
        UserError: a value is wrong. The first such value is reported.
    """
    names = {name: found.option or name for name, found in settings_of(settings) if found.option is not None}
    values = {field.name: field.default for field in dataclasses.fields(settings)}
    values |= {name: getattr(args, option) for name, option in names.items() if option in args} | more
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    made = object.__new__(settings)  # without __init__: the check below names the options
    for name, value in values.items():
        object.__setattr__(made, name, value)
    made.check(lambda name: f"--{names[name]}" if name in names else name)
    return made


def _kind(hint: Any) -> Any:
    """The type to which the text of an option is converted: the type hint without None."""
    if isinstance(hint, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else str
    return hint

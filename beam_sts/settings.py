"""The settings of a verb, each written once: type, default, bounds, help text, option.

A verb's settings are a frozen dataclass that checks itself. What takes settings is made from it:

- a command line by :func:`add_options` and :func:`from_args`;
- a transform, its form in Beam YAML or a function by :func:`takes` (signature and documentation) and
  :func:`made` (its keyword arguments, unknown names refused).

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

from beam_sts.checks import Rule, check_names, one_of

S = TypeVar("S", bound="Settings")
T = TypeVar("T", bound=Callable[..., Any])
_KEY = "setting"


@dataclass(frozen=True)
class Setting:
    """What is known of a setting besides its type and default, which the dataclass has.

    Attributes:
        help: what it is, for people: in ``--help`` and in the documentation of arguments.
        rule: what its value may be.
        option: name of the command line's option, without dashes; None: there is none.
        metavar: of the option.
        choices: the words that it may be, if there are some.
        read: makes the value of an option's text, where the type does not say how.
    """

    help: str
    rule: Rule
    option: str | None
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    read: Callable[[str], Any] | None = None


def setting(
    default: Any,
    help: str,
    rule: Rule | None = None,
    *,
    option: str | None = "",
    metavar: str | None = None,
    choices: Sequence[str] = (),
    read: Callable[[str], Any] | None = None,
) -> Any:
    """A field of :class:`Settings`; the arguments are those of :class:`Setting`.

    Args:
        default: its value where none is given.
        help: see there.
        rule: see there; not needed with ``choices``.
        option: see there; by default the field's name.
        metavar: see there.
        choices: see there.
        read: see there.
    """
    if rule is None:
        rule = one_of(*choices)
    kept = Setting(help, rule, option, metavar, tuple(choices), read)
    return dataclasses.field(default=default, metadata={_KEY: kept})


def like(settings: type[Settings], name: str, default: Any, **changed: Any) -> Any:
    """The field of other settings with another default, and perhaps more that differs."""
    field = next(field for field in dataclasses.fields(settings) if field.name == name)
    return dataclasses.field(
        default=default, metadata={_KEY: dataclasses.replace(field.metadata[_KEY], **changed)}
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of the settings of a verb: a frozen dataclass, keywords only, whose fields are :func:`setting`.

    Raises:
        UserError: a value breaks its rule, or two do not go together. The message names the setting.
    """

    def __post_init__(self) -> None:
        self.check(str)

    def check(self, said: Callable[[str], str]) -> None:
        """Check every value, then all together.

        Args:
            said: what messages call a setting, from the name of its field.

        Raises:
            UserError: the first that is wrong.
        """
        for name, found in settings_of(type(self)):
            found.rule(said(name), getattr(self, name))
        self.check_together(said)

    def check_together(self, said: Callable[[str], str]) -> None:
        """Check what several settings have to do with each other. Subclasses fill this in."""


def settings_of(settings: type[Settings]) -> Iterator[tuple[str, Setting]]:
    """Names and settings of a class, in its order."""
    for field in dataclasses.fields(settings):
        if _KEY in field.metadata:
            yield field.name, field.metadata[_KEY]


def rules_of(settings: type[Settings]) -> dict[str, Rule]:
    """The rules of settings that are options, by the options' names."""
    return {
        found.option or name: found.rule for name, found in settings_of(settings) if found.option is not None
    }


def made(settings: type[S], whose: str, given: Mapping[str, Any]) -> S:
    """Settings from keyword arguments.

    Args:
        settings: their class.
        whose: what the message about an unknown name calls them.
        given: the arguments.

    Raises:
        UserError: a name is unknown (the message names the nearest), or a value is wrong.
    """
    check_names(whose, given, [name for name, _ in settings_of(settings)])
    return settings(**given)


def takes(settings: type[Settings], *, but: Collection[str] = ()) -> Callable[[T], T]:
    """Decorator of a function or class that takes ``**settings``: its signature and docstring name them.

    In the docstring the line of ``**settings`` under ``Args:`` gives way to a line for each.

    Args:
        settings: what ``**settings`` may be.
        but: names of those that it may not be.
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
    """Give a command line the options of settings.

    Args:
        group: gets them.
        settings: their class.
        names: of the fields, in order.
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
    """Settings from the parsed options of a command line; messages name the options.

    Args:
        settings: their class.
        args: what the parser of :func:`add_options` gave, perhaps among others.
        more: values of settings that are not among the options.

    Raises:
        UserError: the first value that is wrong.
    """
    names = {name: found.option or name for name, found in settings_of(settings) if found.option is not None}
    values = {field.name: field.default for field in dataclasses.fields(settings)}
    values |= {name: getattr(args, option) for name, option in names.items() if option in args} | more
    made = object.__new__(settings)  # checked below, under the names of the options
    for name, value in values.items():
        object.__setattr__(made, name, value)
    made.check(lambda name: f"--{names[name]}" if name in names else name)
    return made


def _kind(hint: Any) -> Any:
    """The type that an option's text is converted to: that of the hint, None left out."""
    if isinstance(hint, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else str
    return hint

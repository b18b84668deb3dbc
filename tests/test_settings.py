"""Settings are defined once; a command line, a transform, Beam YAML and a function are made from them."""

import argparse
import inspect
from dataclasses import dataclass, fields, replace

import pytest

from beam_sts import UserError
from beam_sts.checks import flag, optional, whole
from beam_sts.scoring.scorer import PairScorer
from beam_sts.scoring.settings import ScorerSettings
from beam_sts.settings import Settings, add_options, from_args, like, made, setting, settings_of, takes


@dataclass(frozen=True, kw_only=True)
class Some(Settings):
    """An example."""

    least: int = setting(1, "least of it", whole(0), metavar="N")
    most: int = setting(9, "most of it", whole(0), option="largest")
    word: str = setting("one", "a word", choices=("one", "two"))
    sure: bool = setting(False, "whether", flag)
    inner: int | None = setting(None, "not for a command line", optional(whole(1)), option=None)
    names: tuple[str, ...] = setting(("a", "b"), "names", lambda *_: None, read=lambda t: tuple(t.split(",")))

    def check_together(self, said):
        if self.most < self.least:
            raise UserError(f"{said('most')} {self.most}: is below {said('least')} {self.least}.")


@dataclass(frozen=True, kw_only=True)
class More(Some):
    word: str = like(Some, "word", "two")


def parsed(*argv, settings=Some):
    parser = argparse.ArgumentParser()
    add_options(parser, settings, "least", "most", "word", "sure", "names")
    return from_args(settings, parser.parse_args(argv), inner=3)


def test_a_command_line_gives_the_same_settings():
    assert parsed() == Some(inner=3)
    given = parsed("--least", "2", "--largest", "5", "--word", "two", "--sure", "--names", "x,y")
    assert given == Some(least=2, most=5, word="two", sure=True, names=("x", "y"), inner=3)
    assert parsed(settings=More) == More(inner=3)
    assert More().word == "two"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--least=-1"], "--least -1: must be at least 0."),
        (["--largest=-1"], "--largest -1: must be at least 0."),
        (["--largest=3", "--least=4"], "--largest 3: is below --least 4."),
    ],
)
def test_messages_of_a_command_line_name_its_options(argv, said):
    with pytest.raises(UserError) as caught:
        parsed(*argv)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"least": -1}, "least -1: must be at least 0."),
        ({"most": 3, "least": 4}, "most 3: is below least 4."),
        ({"word": "tow"}, "word 'tow': is not one of one, two; did you mean 'two'?"),
        ({"sure": 1}, "sure 1: must be True or False."),
        ({"leest": 1}, "Whose has no 'leest'; did you mean 'least'?"),
    ],
)
def test_messages_of_python_name_the_settings(given, said):
    with pytest.raises(UserError, match=said.replace("?", r"\?")):
        made(Some, "Whose", given)
    if "leest" not in given:
        with pytest.raises(UserError):
            replace(Some(), **given)


def test_a_function_and_a_class_show_what_they_take():
    @takes(Some, but=("inner",))
    def function(texts, least=4, **settings):
        """Do it.

        Args:
            texts: the texts.
            least: its own.
            **settings: more.
        """

    @takes(Some)
    class Taker:
        """Take them.

        Args:
            **settings: these.
        """

        def __init__(self, **settings):
            pass

    shown = inspect.signature(function).parameters
    assert list(shown) == ["texts", "least", "most", "word", "sure", "names"]
    assert shown["least"].default == 4
    assert shown["most"].default == 9
    assert "    word: a word.\n" in inspect.getdoc(function)  # Python 3.13 strips the indentation itself
    assert "**settings" not in function.__doc__
    assert list(inspect.signature(Taker).parameters) == [field.name for field in fields(Some)]
    assert "    inner: not for a command line.\n" in inspect.getdoc(Taker)


def test_the_scorer_takes_its_settings():
    of_scorer = {name: one.default for name, one in inspect.signature(PairScorer).parameters.items()}
    assert of_scorer == {field.name: field.default for field in fields(ScorerSettings)}
    settings = ScorerSettings(threads=1)
    assert PairScorer(settings.model, **settings.scorer_args).score([("a", "a")]).shape == (1,)
    assert all(found.help[0].islower() for _, found in settings_of(ScorerSettings))

"""Every setting of mining, valid and invalid, in its four interfaces: one result, one error."""

import inspect

import pytest

from beam_sts import MinePairs, UserError, mine
from beam_sts.cli import mine as command
from beam_sts.mining.settings import MinePairsSettings, MineSettings
from beam_sts.settings import settings_of
from beam_sts.transforms import yaml as in_yaml
from tests.pairs.test_settings import FLAG, NAME, SHARE, TRANSFORMS, WORD, less

NAMES = dict.fromkeys(("doc_id", "sentences", "embedding", "embedding_model"), NAME)
NAMES |= dict.fromkeys(("anchor_column_name", "positive_column_name"), NAME)
WRONG = {name: values for name, (_, values) in TRANSFORMS[MinePairs][0].items()} | {
    "text": NAME,
    **NAMES,
    "macro_batch": less(1),
    "sampled_rows": less(1, ((-1, "x"), (1.5, True))),
    **dict.fromkeys(("positive_share", "min_score", "max_score"), (SHARE[0], ("0.9", True))),
    "test_share": (SHARE[0], ("0.9", True)),
    **dict.fromkeys(("sampling_strategy", "output_format"), WORD),
    "num_negatives": less(1),
    "range_min": less(0),
    "range_max": less(1, ((-1, "x"), (1.5, True))),
    "report_examples": ((-1, 51, "x"), (1.5, True)),
    "output_scores": FLAG,
    "guard": tuple(tuple(v for v in values if v is not None) for values in WORD),
    **dict.fromkeys(("shortest", "longest"), less(1)),
    **dict.fromkeys(("hard_gap", "positive", "negative", "absolute_margin", "relative_margin"), SHARE),
}
RIGHT = {
    "neighbours": 3,
    "lexical": 0,
    "random": 2,
    "test_share": 0.5,
    "seed": -7,
    "model": "beam-sts-pico",
    "long_text": "windows",
    "allow_pickle": True,
    "trust_remote_code": False,
    "precision": "fp32",
    "backend": "torch",
    "device": "cpu",
    "threads": 1,
    "token_budget": 4096,
    "macro_batch": 512,
    "text": "text",
    "doc_id": "id",
    "sentences": "en",
    "shortest": 2,
    "longest": 99,
    "embedding": "v",
    "embedding_model": "some/model",
    "symmetric": True,
    "sampled_rows": 5,
    "hard_gap": 0.1,
    "positive": 0.9,
    "negative": 0.2,
    "absolute_margin": 0.1,
    "relative_margin": 0.1,
    "guard": "numbers",
    "positive_share": 0.1,
    "num_negatives": 3,
    "range_min": 1,
    "range_max": 7,
    "min_score": 0.1,
    "max_score": 0.9,
    "sampling_strategy": "random",
    "report_examples": 0,
    "anchor_column_name": "question",
    "positive_column_name": "answer",
    "output_format": "n-tuple-scores",
    "output_scores": True,
}


def options():
    return {action.dest for action in command.parser()._actions}


def test_each_setting_is_tried():
    assert {name for name, _ in settings_of(MineSettings)} == set(RIGHT)
    assert set(RIGHT) | {name for name, _ in settings_of(MinePairsSettings)} <= set(WRONG)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_value_is_taken_everywhere(name):
    value = RIGHT[name]
    wanted = MineSettings(**{name: value})
    if name in options():
        flag = [] if value is False else [f"--{name}" if value is True else f"--{name}={value}"]
        needed = ["--input=x", "--output=y", *(["--text=text"] if name != "text" else [])]
        args = command.parser().parse([*needed, *flag])
        assert command.from_args(MineSettings, args) == wanted
    if name in dict(settings_of(MinePairsSettings)):
        MinePairs(**{name: value})
        in_yaml.MinePairs(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in RIGHT for values in WRONG[name] for value in values]
)
def test_a_wrong_value_is_the_same_error_everywhere(name, value, capsys):
    with pytest.raises(UserError) as caught:
        MineSettings(**{name: value})
    said = str(caught.value)
    assert said.startswith(f"{name} ")
    takers = [mine] if name not in ("text", "report_examples") else []
    if name in dict(settings_of(MinePairsSettings)):
        takers += [MinePairs, in_yaml.MinePairs]
    for taker in takers:
        assert name in inspect.signature(taker).parameters
        with pytest.raises(UserError) as caught:
            taker([], **{name: value}) if taker is mine else taker(**{name: value})
        assert str(caught.value) == said
    right = RIGHT[name]
    is_number = isinstance(right, int | float) and not isinstance(right, bool)
    if name in options() and is_number and isinstance(value, int | float) and not isinstance(value, bool):
        needed = ["--input=/nowhere", "--output=/nowhere/out", "--text=text"]
        try:
            status = command.main([*needed, f"--{name}={value}"])
        except SystemExit as end:
            status = end.code
        assert status == 2
        told = capsys.readouterr().err.splitlines()[0].removeprefix("error: --")
        if isinstance(right, float) or isinstance(value, int):
            assert told.replace(f" {float(value)}:", f" {value}:", 1) == said

"""An invalid setting gives the same error in a command, its transform and its Beam YAML."""

import inspect

import apache_beam as beam
import numpy as np
import pytest

from beam_sts import CrossEncoderModelHandler, DeduplicateTexts, MinePairs, ScorePairs, UserError
from beam_sts.candidates.keys import MinHash
from beam_sts.cli import dedup, mine, score
from beam_sts.dedup.settings import BeamDedupSettings
from beam_sts.mining.settings import MinePairsSettings
from beam_sts.pairs.settings import HandlerSettings, ScorePairsSettings
from beam_sts.settings import settings_of
from beam_sts.transforms import yaml as in_yaml

NAN = float("nan")
# Invalid values for each kind of setting: those of a command line first, then those only Python can pass.
WHOLE = (-1, "x"), (1.5, True, NAN, None, "3")
SHARE = (-0.1, 1.5, NAN, float("inf")), ("0.9", True, None)
WORD = ("xyz",), (1, None, True)
FLAG = (), ("yes", 1, None)
NAME = ("",), (1, True)
DEVICE = ("cpuu",), (None,)


def less(than, kind=WHOLE):
    return tuple(range(than)) + kind[0], kind[1]


# Settings of each transform: its name, that of the command if it has one, and the values.
SCORING = {
    "precision": ("--precision", WORD),
    "long_text": ("--long_text", WORD),
    "device": ("--device", DEVICE),
    "threads": ("--threads", less(1, ((-1, "x"), (1.5, True, NAN, "3")))),
    "token_budget": (None, less(1, ((-1,), (1.5, True, "3")))),
    "allow_pickle": (None, FLAG),
    "trust_remote_code": (None, FLAG),
    "backend": (None, WORD),
    "symmetric": (None, FLAG),
    "model": ("--model", NAME),
}
HANDLER = {**SCORING, "batch_size": (None, less(1)), "large_model": (None, FLAG)}
HANDLER["model_copies"] = (None, less(1, ((-1,), (1.5, True))))
SCORE = {**HANDLER, "empty": ("--empty", WORD), "score_column": ("--score_column", NAME)}
SCORE["output_prefix"] = ("--output_prefix", NAME)
SCORE |= {"backend": ("--backend", WORD), "raw_logits": (None, FLAG), "tables": (None, ((), ("yes", 1)))}
SCORE |= dict.fromkeys(("text_a", "text_b"), (None, NAME))
DEDUP = {
    **SCORING,
    "macro_batch": (None, less(1)),
    "id": (None, (("",), (1, None))),
    "text": (None, NAME),
    "output_prefix": ("--output_prefix", NAME),
    "threshold": ("--threshold", SHARE),
    "keep_rows": ("--keep_rows", (("0", "1.5", "-3", "many", "nan"), (0, 1.5, -3, "many", True))),
    "keep": ("--keep", (("highest:", "highest: ", "longst", "highest", ""), (None, 1, ("first",)))),
    "candidates": (
        "--candidates",
        (
            ("minhsh", "", "block:", "exact,exact", "exact,", "neighbors", "exact:x", "pairs:"),
            (("minhsh",), (), ("exact", "exact"), "exact", None, (1,), ("pairs:x",), {"exact"}),
        ),
    ),
    "neighbours": ("--neighbours", less(1)),
    "bucket_cap": ("--bucket_cap", less(2)),
    "component_rounds": ("--component_rounds", less(0)),
    "blocks": (None, less(1)),
    "row_shards": (None, less(1)),
    "max_pairs": ("--max_pairs", less(1, ((-1, "x"), (1.5, True)))),
    "model_share": ("--model_share", SHARE),
    "minhash": (None, ((), (0.7, "char4", {"similarity": 0.7}))),
    "embedding": (None, (("v",), (1, True))),  # without neighbours among the candidates
    "minhash_similarity": ("--minhash_similarity", SHARE),
    "minhash_recall": ("--minhash_recall", SHARE),
    "shingle": ("--shingle", (("char", "char0", "xyz", ""), (4, None, True))),
    "within": (None, FLAG),
    "rule": ("--rule", WORD),
    "linkage": ("--linkage", (("singel",), (1, None, True))),
    "guard": ("--guard", (("fact",), (1, None, True))),
    "max_lost": (
        "--max_lost",
        (("100", "100,2", "-1,0.1", "1.5,0.1", "nan,0.1", ""), (100, (100,), (True, 0.1), (100, NAN), True)),
    ),
    "form": ("--form", (("plane",), (1, None, True))),
    "profile": ("--profile", (("record",), (1, None, True))),
    "boilerplate": ("--boilerplate", (("off",), (1, None, True))),
    "languages": ("--languages", (("off",), (1, None, True))),
    "score_all": (None, FLAG),
    "one_to_one": (None, FLAG),
    "empty": ("--empty", WORD),
    "cascade_model": (None, (("",), (1, True))),
    "cascade_band": (
        "--cascade_band",
        (("0.9,0.1", "0.5,nan", "-1,1", "a,b", "0.5", "0.4,0.6"), ((0.9, 0.1), (0.5, NAN), 0.5, (0.4, 0.6))),
    ),
    "thresholds": (None, ((), (0.5, "0.5", [0.5, 2], [NAN], [True], None))),
    "report_examples": ("--report_examples", ((-1, 51, "x"), (1.5, True))),
}
MINE = {
    **SCORE,
    "neighbours": ("--neighbours", WHOLE),
    "lexical": ("--lexical", WHOLE),
    "random": ("--random", WHOLE),
    "test_share": ("--test_share", (SHARE[0], ("0.9", True))),
    "seed": ("--seed", ((1 << 63, "x"), (0.5, True, None, "3"))),
    "blocks": (None, less(1)),
    "random_shards": (None, less(1)),
}
for left_out in ("tables", "text_a", "text_b"):
    MINE.pop(left_out)
for of_transform in ("backend", "empty", "score_column", "output_prefix"):  # not of the command
    MINE[of_transform] = (None, MINE[of_transform][1])
TRANSFORMS = {
    CrossEncoderModelHandler: (HANDLER, None, None),
    ScorePairs: (SCORE, score, in_yaml.ScorePairs),
    DeduplicateTexts: (DEDUP, dedup, in_yaml.DeduplicateTexts),
    MinePairs: (MINE, mine, in_yaml.MinePairs),
}
CASES = [
    pytest.param(transform, name, value, id=f"{transform.__name__}-{name}-{value!r}")
    for transform, (settings, *_) in TRANSFORMS.items()
    for name, (_, (written, of_python)) in settings.items()
    for value in (*written, *of_python)
    if not (name == "symmetric" and transform is CrossEncoderModelHandler)
]


def said(build):
    with pytest.raises(UserError) as caught:
        build()
    message = str(caught.value)
    assert message.isprintable(), message
    assert len(message) < 400
    return message


@pytest.mark.parametrize(("transform", "name", "value"), CASES)
def test_a_transform_refuses_at_construction(transform, name, value):
    message = said(lambda: transform(**{name: value}))
    assert message.startswith(name)
    if not isinstance(value, tuple | set | dict | list):
        assert str(value) in message
    yaml = TRANSFORMS[transform][2]
    if yaml is not None and name in inspect.signature(yaml).parameters:
        assert said(lambda: yaml(**{name: value})) == message


COMMANDS = [
    pytest.param(transform, name, option, value, id=f"{transform.__name__}-{option}-{value!r}")
    for transform, (settings, command, _) in TRANSFORMS.items()
    for name, (option, (written, _)) in settings.items()
    for value in written
    if option and command
]


@pytest.mark.parametrize(("transform", "name", "option", "value"), COMMANDS)
def test_its_command_says_the_same(transform, name, option, value, tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "one", "text_a": "one", "text_b": "two"}\n')
    places = ["--input", str(source), "--output", str(tmp_path / "out")]
    text = [] if transform is ScorePairs else ["--text", "text"]
    try:
        status = TRANSFORMS[transform][1].main([*places, *text, f"{option}={value}"])
    except SystemExit as end:
        status = end.code
    error, *_ = capsys.readouterr().err.splitlines()
    assert status == 2
    assert error.startswith(f"error: {option}"), error
    assert not (tmp_path / "out").exists()
    if isinstance(value, str):  # a text instead of a number, or of several values
        return
    of_transform = said(lambda: transform(**{name: value})).removeprefix(name)
    of_command = error.removeprefix(f"error: {option}")
    numbers = of_command.replace(f" {float(value)}:", f" {value}:", 1)  # argparse reads 1 as 1.0
    assert numbers == of_transform


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_parameter_has_a_rule_and_values_that_break_it(transform):
    rules = {
        CrossEncoderModelHandler: dict(settings_of(HandlerSettings)),
        ScorePairs: dict(settings_of(ScorePairsSettings)),
        DeduplicateTexts: dict(settings_of(BeamDedupSettings)),
        MinePairs: dict(settings_of(MinePairsSettings)),
    }[transform]
    found = inspect.signature(transform).parameters.values()
    for one in found:
        if one.kind is not one.VAR_KEYWORD:
            assert one.name in rules
            assert one.name in TRANSFORMS[transform][0] or one.name == "failures"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ScorePairs(precison="bf16"), "ScorePairs has no 'precison'; did you mean 'precision'?"),
        (lambda: ScorePairs(failures="raise"), "ScorePairs has no 'failures'"),
        (lambda: DeduplicateTexts(candidate=("exact",)), "did you mean 'candidates'?"),
        (lambda: DeduplicateTexts(linkages="single"), "DeduplicateTexts has no 'linkages'; .*'linkage'?"),
        (lambda: MinePairs(text_a="x"), "MinePairs has no 'text_a'"),
        (
            lambda: MinePairs(score_column="origin"),
            "score_column 'origin': is reserved for a column of the pairs",
        ),
        (lambda: ScorePairs(precision="bf61"), "precision 'bf61': is not one of fp32, bf16, .*'bf16'?"),
        (lambda: CrossEncoderModelHandler(failures="rase"), "failures 'rase': .*did you mean 'raise'?"),
        (lambda: MinHash(similarity="0.7"), "MinHash similarity '0.7': must be between 0 and 1"),
        (lambda: MinHash(seed=1.5), "MinHash seed 1.5: must be a whole number"),
        (lambda: MinHash(permutations=True), "MinHash permutations True: must be a whole number"),
        (lambda: MinHash(shingle=4), "shingle 4: must be charN or wordN"),
        (lambda: in_yaml.ScorePairs(error_handling={"out": "x"}), "error_handling"),
        (lambda: in_yaml.ScorePairs(error_handling={"output": "x", "put": 1}), "error_handling has no 'put'"),
    ],
)
def test_more_mistakes(build, message):
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        build()


@pytest.mark.parametrize(
    "given",
    [
        {"threshold": np.float32(0.9), "bucket_cap": np.int64(4), "neighbours": np.int32(3)},
        {"threshold": 1, "model_share": 0},
        {"candidates": ["exact", "block:a", "block:b", "pairs"]},
        {"cascade_model": "beam-sts-pico", "cascade_band": [0.1, 1]},
        {"keep": "highest:stars", "thresholds": (), "minhash": MinHash(0.5)},
        {"candidates": ("neighbours",), "embedding": "v", "threads": 2, "device": "cuda:1"},
    ],
)
def test_what_is_right_is_taken(given):
    DeduplicateTexts(**given)


@pytest.mark.parametrize(
    ("settings", "inputs", "message"),
    [
        ({}, {"row": 0}, "DeduplicateTexts has no 'row'; did you mean 'rows'?"),
        ({}, {"against": 0}, "none of the inputs is named 'rows'"),
        ({"within": True}, {"rows": 0}, "needs 'against'"),
        ({"one_to_one": True}, {"rows": 0}, "needs 'against'"),
        ({"linkage": "average"}, {"rows": 0, "against": 0}, "Leave out 'against'"),
        ({"candidates": ["pairs"]}, {"rows": 0}, "need each other"),
        ({}, {"rows": 0, "given": 0}, "need each other"),
        ({"candidates": ["pairs"]}, {"rows": 0, "given": 0, "against": 0}, "leave out 'against'"),
    ],
)
def test_inputs_that_contradict_the_settings(settings, inputs, message):
    pipeline = beam.Pipeline("FnApiRunner")
    made = {name: pipeline | name >> beam.Create([]) for name in inputs}
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        _ = made | DeduplicateTexts(**settings)

"""Every setting of a deduplication, valid and invalid, in its four interfaces: one result, one error."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from beam_sts import DeduplicateTexts, UserError, deduplicate
from beam_sts.candidates.keys import MinHash
from beam_sts.cli import dedup
from beam_sts.cli.dedup import CommandSettings
from beam_sts.dedup.settings import BeamDedupSettings, DedupSettings
from beam_sts.settings import settings_of
from beam_sts.transforms import yaml as in_yaml
from tests.pairs.test_settings import TRANSFORMS

WRONG = TRANSFORMS[DeduplicateTexts][0]
RIGHT = {
    "model": "beam-sts-pico",
    "long_text": "truncate",
    "allow_pickle": True,
    "trust_remote_code": False,
    "precision": "fp32",
    "backend": "torch",
    "device": "cpu",
    "threads": 1,
    "token_budget": 4096,
    "macro_batch": 512,
    "threshold": 0.8,
    "keep_rows": 0.6,
    "keep": "first",
    "linkage": "average",
    "guard": "numbers",
    "max_lost": (60, 0.2),
    "form": "none",
    "profile": "records",
    "boilerplate": "counted",
    "languages": "ignored",
    "output_prefix": "ours_",
    "one_to_one": False,
    "empty": "score",
    "candidates": ("exact", "lexical"),
    "minhash_similarity": 0.5,
    "minhash_recall": 0.9,
    "shingle": "word2",
    "minhash": MinHash(0.6),
    "neighbours": 3,
    "embedding": None,
    "bucket_cap": 4,
    "max_pairs": 1000,
    "within": False,
    "symmetric": True,
    "rule": "model",
    "model_share": 0.5,
    "score_all": True,
    "cascade_model": "beam-sts-pico",
    "cascade_band": None,
    "report_examples": 2,
}
TEXTS = ["A cat sat on the mat.", "A cat  sat on the mat.", "a cat sat on the mat, today", "Prices fell.", ""]


def option(name):
    """The command's option of a setting, if it has one."""
    found = dict(settings_of(CommandSettings))[name]
    args = vars(dedup.parser().parse(["--input=x", "--output=y", "--text=t"]))
    return f"--{found.option or name}" if (found.option or name) in args else None


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "in.parquet"
    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), path)
    return path


def test_each_setting_is_tried():
    assert {name for name, _ in settings_of(DedupSettings)} == set(RIGHT)
    assert {name for name, _ in settings_of(BeamDedupSettings)} <= set(WRONG)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_value_gives_the_same_everywhere(name, rows, tmp_path):
    value = RIGHT[name]
    found = deduplicate(TEXTS, **{"threads": 1, name: value})
    DeduplicateTexts(**{name: value})
    if name != "minhash":
        in_yaml.DeduplicateTexts(**{name: value})
    flag = option(name)
    if flag is None:
        return
    said = ",".join(map(str, value)) if isinstance(value, tuple) else value
    given = [] if value in (False, None) else [flag] if value is True else [f"{flag}={said}"]
    args = [
        "--input",
        str(rows),
        "--output",
        str(tmp_path / "out"),
        "--text",
        "text",
        "--id",
        "id",
        "--quiet",
    ]
    assert dedup.main([*args, "--threads=1", *given]) == 0
    assert pq.read_table(tmp_path / "out" / "kept")["text"].to_pylist() == found.kept
    removed = pq.read_table(tmp_path / "out" / "removed").to_pylist()
    assert removed == [{"id": TEXTS.index(row["text"]), **row} for row in found.removed]


CASES = [
    pytest.param(name, value, id=f"{name}-{value!r}")
    for name, (_, (written, of_python)) in WRONG.items()
    for value in (*written, *of_python)
]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_wrong_value_gets_one_answer(name, value):
    if name not in RIGHT or (name == "candidates" and value == ("pairs:x",)):
        return  # only for elements; a file of pairs is valid here
    with pytest.raises(UserError) as of_library:
        deduplicate(TEXTS, **{name: value})
    with pytest.raises(UserError) as of_transform:
        DeduplicateTexts(**{name: value})
    if name == "candidates":  # both messages list the valid values
        assert str(of_library.value).split(":")[0] == str(of_transform.value).split(":")[0]
    else:
        assert str(of_library.value) == str(of_transform.value)
    if name != "minhash":
        with pytest.raises(UserError) as of_yaml:
            in_yaml.DeduplicateTexts(**{name: value})
        assert str(of_yaml.value) == str(of_transform.value)


@pytest.mark.parametrize(
    "take", [lambda **args: deduplicate(TEXTS, **args), DeduplicateTexts, in_yaml.DeduplicateTexts]
)
def test_a_misspelt_setting_has_its_nearest_name(take):
    with pytest.raises(UserError, match=r"has no 'treshold'; did you mean 'threshold'\?"):
        take(treshold=0.8)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"cap": 4}, {"bucket_cap": 4}),
        ({"rounds": 3}, {"component_rounds": 3}),
        ({"vector": "v", "candidates": ["neighbours"]}, {"embedding": "v", "candidates": ["neighbours"]}),
        ({"blend": False}, {"rule": "model"}),
        ({"compare_blank": True}, {"empty": "score"}),
    ],
)
def test_old_names_of_the_transform_go_on_with_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"{next(iter(old))} is {next(iter(new))} now"):
        made = DeduplicateTexts(**old)
    assert made._settings == DeduplicateTexts(**new)._settings


@pytest.mark.parametrize(
    ("settings", "against", "message"),
    [
        ({"within": True}, None, "within: needs against"),
        ({"one_to_one": True}, None, "one_to_one: needs against"),
        ({"linkage": "average"}, ["a"], "Leave out against"),
        ({"candidates": ["pairs:x"]}, ["a"], "leave out against"),
    ],
)
def test_settings_and_inputs_that_do_not_go_together(settings, against, message):
    with pytest.raises(UserError, match=message):
        deduplicate(TEXTS, against=against, **settings)

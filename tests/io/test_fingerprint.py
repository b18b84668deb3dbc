"""Messages about an output folder that another run has made."""

import pytest

from beam_sts.io.fingerprint import NAMES, deciding, refusal

NANO, PICO = "8159" * 16, "77aa" * 16
RUN = {
    "pipeline": "dedup",
    "input": [
        {"path": "/in/a.csv", "size": 5, "identity": "1.0", "content": "c0ffee"},
        {"path": "/in/b.csv", "size": 6, "identity": "2.0", "content": "decade"},
    ],
    "against": None,
    "model": NANO,
    "cascade_model": None,
    NAMES: {"model": "beam-sts-nano"},
    "versions": {"numpy": "2.4.6"},
    "settings": {"threshold": 0.5, "id": None},
}


def with_file(at, **changed):
    return [{**file, **(changed if number == at else {})} for number, file in enumerate(RUN["input"])]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (
            {"model": PICO, NAMES: {"model": "/models/pico"}},
            "settings: model was beam-sts-nano (815981598159...), is /models/pico (77aa77aa77aa...). ",
        ),
        (
            {"cascade_model": PICO, NAMES: {"model": "x", "cascade_model": "pico"}},
            "is pico (77aa77aa77aa...)",
        ),
        ({"cascade_model": PICO}, "cascade_model was null, is 77aa77aa77aa.... "),
        ({"settings": {"threshold": 0.7, "id": "key"}}, 'id was null, is "key"; threshold was 0.5, is 0.7. '),
        (
            {"input": with_file(1, content="facade", identity="3.0")},
            "input file /in/b.csv has other contents. ",
        ),
        ({"input": with_file(1, size=7)}, "input file /in/b.csv has another size. "),
        ({"input": with_file(0, identity="9")}, "input file /in/a.csv was written again, or touched. "),
        ({"input": with_file(0, path="/c.csv")}, "input file 1 was /in/a.csv, is /c.csv. "),
        ({"input": RUN["input"][:1]}, "input file 2 was /in/b.csv, is missing. "),
        ({"against": RUN["input"][1:]}, "against file 1 was missing, is /in/b.csv"),
        ({"versions": {"numpy": "3"}}, 'other versions: numpy was "2.4.6", is "3". '),
        ({"pipeline": "score"}, "contains the output of 'dedup'"),
    ],
)
def test_what_differs_is_said_by_its_name(now, told):
    assert told in refusal(RUN, {**RUN, **now})


def test_a_run_of_a_version_that_kept_no_names_is_shown_by_its_digest():
    before = deciding(RUN)
    assert "model was 815981598159..., is beam-sts-pico (77aa77aa77aa...)" in refusal(
        before, {**RUN, "model": PICO, NAMES: {"model": "beam-sts-pico"}}
    )


def test_the_name_of_a_model_does_not_decide():
    assert deciding(RUN) == deciding({**RUN, NAMES: {"model": "a copy"}})


def test_many_differences_are_counted():
    settings = {f"option_{number}": number for number in range(9)}
    told = refusal({**RUN, "settings": dict.fromkeys(settings)}, {**RUN, "settings": settings})
    assert "option_2 was null, is 2; and 6 more. " in told

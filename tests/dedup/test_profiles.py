"""A profile is a set of defaults, the same in every interface; explicit settings take precedence."""

import json

import pytest

from beam_sts import deduplicate
from beam_sts.cli import dedup
from beam_sts.dedup.beam import DeduplicateTexts
from beam_sts.dedup.profiles import PROFILES, with_profile
from beam_sts.dedup.settings import DedupSettings
from beam_sts.transforms import yaml as in_yaml


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_sets_the_same_in_a_transform_and_yaml(name):
    for take in (DeduplicateTexts, in_yaml.DeduplicateTexts):
        made = take(profile=name)
        made = made if isinstance(made, DeduplicateTexts) else made._deduplicate
        for setting, value in PROFILES[name].items():
            assert getattr(made._settings, setting) == value
    assert DedupSettings(**with_profile({"profile": name})).profile == name


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_given_by_itself_wins_whatever_the_order(tmp_path, capsys, order):
    path = tmp_path / "in.jsonl"
    texts = ["sharp lx350 printer", "Sharp LX-350 printer", "blue canoe for two"]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    given = [["--profile", "records"], ["--threshold", "0.9"]][::order]
    args = ["--input", str(path), "--output", str(tmp_path / "out"), "--text", "text"]
    assert dedup.main([*args, *(word for one in given for word in one)]) == 0
    settings = json.loads((tmp_path / "out/summary.json").read_text())["settings"]
    assert (settings["threshold"], settings["linkage"], settings["guard"]) == (0.9, "average", "none")
    said = capsys.readouterr()
    assert "records: --candidates exact,minhash,lexical" in said.out + said.err
    assert "--max_lost none" in said.out + said.err
    assert deduplicate(texts, profile="records").threshold == PROFILES["records"]["threshold"]
    assert deduplicate(texts, profile="records", threshold=0.9).threshold == 0.9


def test_an_unknown_profile_is_refused(capsys):
    with pytest.raises(SystemExit):
        dedup.main(["--input", "x", "--output", "y", "--text", "t", "--profile", "record"])
    assert "records" in capsys.readouterr().err

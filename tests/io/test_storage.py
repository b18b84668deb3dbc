import pickle

import fsspec
import pytest

from beam_sts.errors import UserError
from beam_sts.io.storage import StorageOptions


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(fsspec.config, "conf", {})


def test_a_worker_has_the_options_before_it_touches_a_file():
    sent = pickle.dumps(StorageOptions({"memory": {"skip_instance_cache": True}}))
    assert fsspec.config.conf == {}
    pickle.loads(sent)
    assert fsspec.config.conf["memory"] == {"skip_instance_cache": True}


def test_given_options_win_over_the_defaults_and_add_to_the_users_configuration():
    fsspec.config.conf["s3"] = {"profile": "mine", "anon": True}
    StorageOptions({"s3": {"anon": False}}).apply()
    assert fsspec.config.conf["s3"] == {
        "profile": "mine",
        "anon": False,
        "config_kwargs": {"retries": {"mode": "standard", "max_attempts": 10}},
    }


def test_json_comes_from_the_command_line_or_a_file(tmp_path):
    (tmp_path / "o.json").write_text('{"s3": {"key": "k"}}')
    for text in ('{"s3": {"key": "k"}}', str(tmp_path / "o.json")):
        StorageOptions.parse(text).apply()
        assert fsspec.config.conf.pop("s3")["key"] == "k"


@pytest.mark.parametrize("text", ['{"s3": {"secret": "hunter2"', '{"s3": "hunter2"}', "no/such/file"])
def test_a_mistake_is_told_without_the_secret(text):
    with pytest.raises(UserError, match="--storage_options") as told:
        StorageOptions.parse(text)
    assert "hunter2" not in str(told.value)


def test_nothing_shows_a_value():
    options = StorageOptions({"s3": {"secret": "hunter2"}})
    assert "hunter2" not in f"{options} {options!r} {[options]}"

import pickle
import sys

import fsspec
import pytest

from beam_sts import secrets
from beam_sts.errors import UserError
from beam_sts.io import storage
from beam_sts.io.files import file_system
from beam_sts.io.storage import StorageOptions, hide_secrets
from beam_sts.models.source import locate


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    monkeypatch.setattr(fsspec.config, "conf", {})
    monkeypatch.setattr(secrets, "_known", set())


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


def test_a_message_of_a_library_is_shown_without_the_secrets():
    StorageOptions(
        {
            "s3": {
                "key": "AKIA123",
                "endpoint_url": "http://here",
                "client_kwargs": {"aws_session_token": "t0ken"},
            }
        }
    ).apply()
    said = hide_secrets("403 for AKIA123 with t0ken at http://here, ftp://me:hunter2@host/a?b=c")
    assert said == "403 for *** with *** at http://here, ftp://***@host/a?b=***"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:hunter2@host/pairs.csv",
        "s3://key:hunter2@bucket/pairs.csv",
        "https://host/pairs.csv?X-Amz-Signature=hunter2",
        "abfs://c@account.blob.core.windows.net/p.csv?sv=2024&sig=hunter2",
        "simplecache::https://host/p.csv?access_token=hunter2",
    ],
)
def test_a_secret_in_a_url_is_refused_before_it_is_written_down(url):
    for use in (file_system, locate):
        with pytest.raises(UserError, match="--storage_options") as told:
            use(url)
        assert "hunter2" not in str(told.value)


def test_an_ordinary_url_is_not_taken_for_one():
    for url in ("memory://a@b/c:d@e", "hf://datasets/owner/name@main/data.parquet", "https://host/a?page=2"):
        storage.refuse_secrets(url)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("s3://b/a", "s3fs", "s3"), ("gs://b/a", "gcsfs", "gcs"), ("abfs://b/a", "adlfs", "azure")],
)
def test_a_missing_package_is_told_with_the_extra_that_brings_it(url, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, url.partition(":")[0], raising=False)
    with pytest.raises(UserError, match=rf"pip install 'beam_sts\[{extra}\]'"):
        file_system(url)

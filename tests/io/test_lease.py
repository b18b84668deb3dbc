import uuid

import fsspec
import pytest

from beam_sts.errors import UserError
from beam_sts.io.lease import hold


@pytest.fixture(params=["local", "memory"])
def path(request, tmp_path):
    return str(tmp_path / "lock") if request.param == "local" else f"memory://{uuid.uuid4().hex}/lock"


def test_a_second_writer_is_refused_by_name_until_the_first_lets_go(path):
    with (
        hold(path, "out"),
        pytest.raises(UserError, match=r"--output out: process \d+ on \S+ is"),
        hold(path, "out"),
    ):
        pass
    with hold(path, "out"):
        pass


def test_a_failure_lets_go(path):
    with pytest.raises(ZeroDivisionError), hold(path, "out"):
        raise ZeroDivisionError
    with hold(path, "out"):
        pass


def test_what_a_killed_run_left_on_a_store_is_taken_over_on_demand_only():
    path = f"memory://{uuid.uuid4().hex}/lock"
    fsspec.filesystem("memory").pipe_file(path, b'{"holder": "process 1 on gone", "token": "x"}')
    with pytest.raises(UserError, match=r"process 1 on gone .* --takeover"), hold(path, "out"):
        pass
    with hold(path, "out", takeover=True):
        pass
    with hold(path, "out"):
        pass


def test_a_writer_leaves_the_lease_of_the_one_that_took_over():
    path = f"memory://{uuid.uuid4().hex}/lock"
    first = hold(path, "out")
    with first:
        second = hold(path, "out", takeover=True)
        second.__enter__()
    with pytest.raises(UserError), hold(path, "out"):
        pass
    second.__exit__(None, None, None)

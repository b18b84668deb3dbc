"""Every storage call fails once (error, partial write, lost answer, kill); the next run gives the output.

    BEAM_STS_POINTS=100000 python -m pytest -m slow tests/cli/test_fail_every_call.py     # every point

BEAM_STS_POINTS says how many points of each verb and store are tried (200), BEAM_STS_SEED which.
"""

import json
import os
import subprocess
import sys

import pytest

from tests import engines

POINTS = int(os.environ.get("BEAM_STS_POINTS", "200"))
SEED = int(os.environ.get("BEAM_STS_SEED", "0"))


def campaign(verb, store, points, seed):
    script = [sys.executable, "-m", "tests.cli.fail_every_call", verb, store, str(points), str(seed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(script, cwd=engines.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(found):
    print(json.dumps(found))
    assert found["points"] > 0
    assert not found["wrong"], json.dumps(found["wrong"][:5], indent=1)


def test_a_call_that_fails_in_dedup_does_no_harm():
    check(campaign("dedup", "local", 5, SEED))


@pytest.mark.slow
@pytest.mark.parametrize("store", ["local", "s3"])
@pytest.mark.parametrize("verb", ["score", "dedup", "mine"])
def test_every_call_fails_once(verb, store):
    if store == "s3":
        pytest.importorskip("s3fs")
        from tests.cli.test_object_store import SERVER

        engines.go_program(SERVER)
    check(campaign(verb, store, POINTS, SEED))

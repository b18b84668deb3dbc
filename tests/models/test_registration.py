"""``import beam_sts`` registers our architectures with transformers without importing it."""

import subprocess
import sys

import pytest

BEFORE = "import beam_sts, sys\nassert 'transformers' not in sys.modules\n"
USES = {
    "AutoConfig": "from transformers import AutoConfig\n"
    "print(type(AutoConfig.from_pretrained(sys.argv[1])).__name__)",
    "AutoTokenizer": "from transformers import AutoTokenizer, AutoConfig\n"
    "print(type(AutoConfig.from_pretrained(sys.argv[1])).__name__)",
    "the model": "from transformers import AutoModelForSequenceClassification as M\n"
    "print(M.from_pretrained(sys.argv[1]).config.__class__.__name__)",
    "CrossEncoder": "from sentence_transformers import CrossEncoder\n"
    "print(CrossEncoder(sys.argv[1]).model.config.__class__.__name__)",
}


@pytest.mark.parametrize("use", USES)
def test_beam_sts_first(use, embedded):
    assert run(BEFORE + USES[use], embedded) == "BertHashConfig"


def test_transformers_first(embedded):
    first, then = USES["AutoConfig"].split("\n")
    assert run(f"import sys\n{first}\nimport beam_sts\n{then}", embedded) == "BertHashConfig"


def test_a_failure_of_ours_is_no_failure_of_transformers(embedded):
    ours = "sys.modules['beam_sts.models.architectures'] = None\n"
    assert run(f"{BEFORE}{ours}from transformers import AutoConfig\nprint('fine')", embedded) == "fine"


@pytest.fixture
def embedded():
    from beam_sts.models.registry import EMBEDDED

    return EMBEDDED / "beam-sts-pico"


def run(code, *arguments):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()

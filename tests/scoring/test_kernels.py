"""The compiled steps against torch's, on every kind of CPU that this one can stand for."""

import ctypes
import logging
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts.scoring import kernels
from beam_sts.scoring.hash_steps import SIGNS, Pairs, TorchSteps
from beam_sts.scoring.kernels import CompiledSteps, fastest_steps

SOURCE = Path(kernels.__file__).with_name("kernels.c")
COMPILER = shutil.which("cc")
TORCH = TorchSteps()
TYPES = [torch.float32, torch.bfloat16]
# Rounding of results; bfloat16 has 8 bits, and half a unit more where the two round to different sides.
CLOSE = {torch.float32: {"atol": 2e-5, "rtol": 2e-5}, torch.bfloat16: {"atol": 1e-2, "rtol": 1e-2}}


@pytest.fixture(scope="module", params=[0, 1, 2], ids=["plain", "avx2", "avx512"])
def compiled(request, tmp_path_factory):
    if COMPILER is None:
        pytest.skip("no C compiler (cc)")
    library = tmp_path_factory.mktemp("kernels") / "kernels.so"
    flags = ["-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-DHIGHEST={request.param}"]
    subprocess.run([COMPILER, *flags, str(SOURCE), "-o", str(library), "-lm"], check=True)
    return CompiledSteps(ctypes.CDLL(str(library)))


@st.composite
def micro_batches(draw):
    heads, size = draw(st.sampled_from([(1, 8), (2, 16), (2, 40), (3, 24), (2, 64)]))
    segment = draw(st.sampled_from([2, 4]))
    longest = draw(st.sampled_from([3, 17, 64, 70, 300]))
    kept_a, kept_b = (np.array(draw(st.lists(st.integers(0, longest), min_size=3, max_size=3))) for _ in "ab")
    turns = torch.polar(torch.ones(4, longest + 2, 2), torch.rand(4, longest + 2, 2) * 6)
    signs = torch.tensor(SIGNS, dtype=turns.dtype)[:, None, None].expand(-1, longest + 2, segment // 2)
    sharpness = draw(st.sampled_from([None, np.array([1, 1.5, 2], dtype=np.float32)]))
    return Pairs(heads, size, 4, kept_a, kept_a + kept_b + 3, torch.cat([signs, turns], -1), sharpness)


def real(pairs, rows):
    """The rows that are no padding."""
    column = np.arange(pairs.longest)
    mask = (column < pairs.lengths[:, None]).reshape(-1)
    return rows[: pairs.tokens][torch.from_numpy(mask)]


def table_of(pairs, width, dtype):
    """A table of texts, [CLS] last, and where those of the pairs start."""
    lengths = np.concatenate([pairs.kept + 1, pairs.lengths - pairs.kept - 2])
    starts = (np.cumsum(lengths) - lengths).reshape(2, -1)
    return torch.randn(int(lengths.sum()) + 1, width, dtype=dtype), starts


varied = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@varied
@given(pairs=micro_batches(), dtype=st.sampled_from(TYPES), of_table=st.booleans(), seed=st.integers(0, 9))
def test_attention(compiled, pairs, dtype, of_table, seed):
    torch.manual_seed(seed)
    width = 3 * pairs.heads * pairs.size
    table, starts = table_of(pairs, width, dtype)
    if not of_table:
        table, starts = torch.randn(pairs.rows, width, dtype=dtype), None
    got, expected = (steps.attend(table, starts, pairs) for steps in (compiled, TORCH))
    torch.testing.assert_close(real(pairs, got), real(pairs, expected), **CLOSE[dtype])
    assert got.shape == expected.shape
    assert not got[pairs.tokens :].any()
    assert got.isfinite().all()


def test_attention_within_long_pairs_is_torchs(compiled):
    turns = torch.ones(4, kernels._LONGEST, 4, dtype=torch.complex64)
    pairs = Pairs(1, 8, 4, np.array([5]), np.array([kernels._LONGEST + 1]), turns)
    qkv = torch.randn(pairs.rows, 24)
    assert torch.equal(compiled.attend(qkv, None, pairs), TORCH.attend(qkv, None, pairs))


@varied
@given(pairs=micro_batches(), dtype=st.sampled_from(TYPES), seed=st.integers(0, 9))
def test_attention_of_the_first_token(compiled, pairs, dtype, seed):
    torch.manual_seed(seed)
    hidden = torch.randn(pairs.rows, pairs.heads * pairs.size, dtype=dtype)
    keys = torch.randn(pairs.rows, pairs.heads * pairs.rotary, dtype=dtype)
    queries = torch.randn(len(pairs), pairs.heads * (hidden.shape[1] + pairs.rotary)) / 8
    # torch's turns the keys in place.
    got, expected = (steps.first(hidden, keys.clone(), queries, pairs) for steps in (compiled, TORCH))
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=2e-5)


@varied
@given(pairs=micro_batches(), dtype=st.sampled_from(TYPES))
def test_rows_of_texts(compiled, pairs, dtype):
    table, starts = table_of(pairs, pairs.heads * pairs.size, dtype)
    got, expected = (steps.gather(table, starts, pairs) for steps in (compiled, TORCH))
    assert torch.equal(real(pairs, got), real(pairs, expected))
    assert got.isfinite().all()


@varied
@given(rows=st.integers(0, 5), width=st.sampled_from([8, 32, 72, 80, 128]), dtype=st.sampled_from(TYPES))
def test_norms(compiled, rows, width, dtype):
    inputs = 1e3 + torch.randn(rows, width).to(dtype)
    weight, bias = torch.randn(2, width)
    got, expected = torch.full((2, rows, width), torch.nan, dtype=dtype)
    for steps, to in ((compiled, got), (TORCH, expected)):
        steps.norm(inputs, weight, bias, 1e-12, to)
    torch.testing.assert_close(got, expected, atol=3e-3, rtol=1e-2)


@pytest.fixture
def fresh(tmp_path, monkeypatch, caplog):
    """Where the compiled steps are looked for, empty; and the cache as in a new process."""
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "kernels.py"))
    fastest_steps.cache_clear()
    caplog.set_level(logging.INFO)
    yield tmp_path
    fastest_steps.cache_clear()


def test_an_installation_has_the_compiled_steps():
    if COMPILER is None:
        pytest.skip("no C compiler (cc)")
    assert isinstance(fastest_steps(), CompiledSteps)


def test_steps_can_be_pickled():
    """Datasets and Beam's runners pickle what a function refers to, scorers too."""
    assert type(pickle.loads(pickle.dumps(fastest_steps()))) is type(fastest_steps())


def test_without_compiled_steps_torch_does_them(fresh, caplog):
    assert type(fastest_steps()) is TorchSteps
    assert "without a C compiler" in caplog.text


def test_a_library_that_cannot_be_loaded_is_told_of(fresh, caplog):
    (fresh / "kernels.library").write_bytes(b"of another machine")
    assert type(fastest_steps()) is TorchSteps
    assert "kernels.library is not used" in caplog.text


@pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc)")
@pytest.mark.parametrize("code", ["int beam_sts_version(void) { return 0; }", "int other;"])
def test_a_library_of_another_version_is_not_used(fresh, caplog, code):
    (fresh / "old.c").write_text(code)
    library = str(fresh / "kernels.library")
    subprocess.run([COMPILER, "-shared", "-fPIC", str(fresh / "old.c"), "-o", library], check=True)
    assert type(fastest_steps()) is TorchSteps
    assert "install beam_sts again" in caplog.text

"""The compiled steps against torch's, on every kind of CPU that this one can stand for."""

import ctypes
import dataclasses
import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts.models.checksums import write_digest
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
def micro_batch():
    """Two pairs, and rows for each step."""
    turns = torch.ones(4, 20, 4, dtype=torch.complex64)
    pairs = Pairs(2, 16, 4, np.array([3, 0]), np.array([9, 3]), turns, np.ones(2, np.float32))
    return pairs, torch.randn(pairs.rows, 96), np.array([[0, 4], [5, 9]])


def _with(pairs, **values):
    return dataclasses.replace(pairs, **values)


BROKEN_PAIRS = {
    "no head": {"heads": 0},
    "heads that the rows do not have": {"heads": 4},
    "a size that the rows do not have": {"size": 64},
    "more numbers turn than there are": {"size": 4, "heads": 8},
    "odd rotary": {"rotary": 3},
    "rotary beyond what turns": {"rotary": 4096},
    "negative rotary": {"rotary": -2},
    "negative kept": {"kept": np.array([-1, 0])},
    "kept beyond the pair": {"kept": np.array([9, 0])},
    "kept beyond the places": {"kept": np.array([19, 0]), "lengths": np.array([22, 3])},
    "a second text beyond the places": {"lengths": np.array([100, 3])},
    "longer than the rows": {"kept": np.array([18] * 40), "lengths": np.array([30] * 40), "sharpness": None},
    "no pair": {"kept": np.array([], int), "lengths": np.array([], int)},
    "kept of other pairs": {"kept": np.array([3])},
    "int32 kept": {"kept": np.array([3, 0], np.int32)},
    "big-endian lengths": {"lengths": np.array([9, 3], ">i8")},
    "strided kept": {"kept": np.array([3, 1, 0, 1])[::2]},
    "no turns": {"turns": torch.ones(4, 20, dtype=torch.complex64)},
    "turns in double": {"turns": torch.ones(4, 20, 4, dtype=torch.complex128)},
    "turns of two kinds": {"turns": torch.ones(2, 20, 4, dtype=torch.complex64)},
    "conjugate turns": {"turns": torch.ones(4, 20, 4, dtype=torch.complex64).conj()},
    "sharpness of one pair": {"sharpness": np.ones(1, np.float32)},
    "sharpness in double": {"sharpness": np.ones(2)},
}


@pytest.mark.parametrize("values", BROKEN_PAIRS.values(), ids=BROKEN_PAIRS)
def test_sizes_that_do_not_fit_are_refused_before_a_pointer_is_passed(micro_batch, values):
    pairs, rows, _ = micro_batch
    steps = fastest_steps()
    _needs_compiled(steps)
    with pytest.raises(ValueError, match=r"\w"):
        steps.attend(rows, None, _with(pairs, **values))


def _unaligned(tensor):
    raw = torch.zeros(4 * tensor.numel() + 1, dtype=torch.uint8)
    return torch.frombuffer(raw.numpy().data, dtype=torch.float32, offset=1, count=tensor.numel()).view(
        tensor.shape
    )


BROKEN_ROWS = {
    "transposed": lambda rows: rows.T.contiguous().T,
    "strided": lambda rows: torch.cat([rows, rows])[::2],
    "in double": torch.Tensor.double,
    "in float16": torch.Tensor.half,
    "whole numbers": torch.Tensor.long,
    "too few": lambda rows: rows[:5],
    "too narrow": lambda rows: rows[:, :-1].contiguous(),
    "flat": torch.Tensor.flatten,
    "of no device": lambda rows: rows.to("meta"),
    "not aligned": _unaligned,
}


@pytest.mark.parametrize("broken", BROKEN_ROWS.values(), ids=BROKEN_ROWS)
def test_rows_that_are_not_what_the_kernels_read_are_refused(micro_batch, broken):
    pairs, rows, starts = micro_batch
    steps = fastest_steps()
    _needs_compiled(steps)
    hidden, keys, queries = rows[:, :32].clone(), rows[:, :8].clone(), torch.randn(2, 2 * 36)
    weight = torch.ones(96)
    calls = [
        lambda: steps.attend(broken(rows), None, pairs),
        lambda: steps.first(broken(hidden), keys, queries, pairs),
        lambda: steps.first(hidden, broken(keys), queries, pairs),
        lambda: steps.gather(broken(hidden), starts, pairs),
        lambda: steps.norm(broken(rows), weight, weight, 1e-12, torch.empty_like(rows)),
        lambda: steps.norm(rows, weight, weight, 1e-12, broken(torch.empty_like(rows))),
    ]
    for call in calls:
        with pytest.raises((ValueError, IndexError), match=r"\w"):
            call()


def test_texts_beyond_their_table_and_weights_that_do_not_fit_are_refused(micro_batch):
    pairs, rows, starts = micro_batch
    steps = fastest_steps()
    _needs_compiled(steps)
    hidden, queries = rows[:, :32].clone(), torch.randn(2, 2 * 36)
    for wrong in (starts - 1, starts + 1000, starts[:1], starts.astype(np.int32), np.asfortranarray(starts)):
        for step, table in ((steps.gather, hidden), (steps.attend, rows)):
            with pytest.raises(ValueError, match=r"starts|texts"):
                step(table, wrong, pairs)
    for weight, bias, eps in (
        (torch.ones(8), torch.ones(96), 0.1),
        (torch.ones(96), torch.ones(1), 0.1),
        (torch.ones(96).double(), torch.ones(96), 0.1),
        (torch.ones(96), torch.ones(96), float("nan")),
    ):
        with pytest.raises(ValueError, match=r"weight|bias|eps"):
            steps.norm(rows, weight, bias, eps, torch.empty_like(rows))
    for wrong in (queries[:1], queries[:, :-1].contiguous(), queries.double()):
        with pytest.raises(ValueError, match="queries"):
            steps.first(hidden, rows[:, :8].clone(), wrong, pairs)


def test_the_checks_cannot_be_switched_off():
    """By ``python -O``, which drops every ``assert``."""
    _needs_compiled(fastest_steps())
    code = """
import numpy as np, torch
from beam_sts.scoring.hash_steps import Pairs
from beam_sts.scoring.kernels import CompiledSteps, fastest_steps
assert False, "this is dropped"
pairs = Pairs(2, 16, 4, np.array([3]), np.array([9]), torch.ones(4, 20, 4, dtype=torch.complex64))
steps = fastest_steps()
if not isinstance(steps, CompiledSteps):
    raise SystemExit("not compiled")
try:
    steps.attend(torch.randn(96, pairs.rows).T, None, pairs)
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False)
    assert "do not stand end to end in memory" in done.stdout, done.stderr


def test_numbers_that_are_not_finite_stay_so(micro_batch, compiled):
    pairs, rows, _ = micro_batch
    for value in (torch.nan, torch.inf, -torch.inf):
        broken = rows.clone()
        broken[1, 5] = value
        got, expected = (real(pairs, steps.attend(broken, None, pairs)) for steps in (compiled, TORCH))
        assert got.isnan().any(1).tolist() == expected.isnan().any(1).tolist()
        assert got.isnan().any()


def _needs_compiled(steps):
    if not isinstance(steps, CompiledSteps):
        pytest.skip("no compiled steps here")


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
    write_digest(fresh / "kernels.library")
    assert type(fastest_steps()) is TorchSteps
    assert "kernels.library is not used" in caplog.text


def _cut(raw):
    return raw[: len(raw) // 2]


def _flip(raw):
    return bytes([*raw[:-100], raw[-100] ^ 1, *raw[-99:]])


@pytest.mark.parametrize("damage", [_cut, _flip, lambda raw: b"", lambda raw: raw + b"x"])
def test_a_damaged_library_is_not_loaded(fresh, caplog, damage):
    source = SOURCE.with_name("kernels.library")
    if not source.exists():
        pytest.skip("no compiled library here")
    library = fresh / "kernels.library"
    library.write_bytes(source.read_bytes())
    write_digest(library)
    assert type(fastest_steps()) is CompiledSteps
    # Another file: the one that is loaded stays mapped.
    library.unlink()
    library.write_bytes(damage(source.read_bytes()))
    fastest_steps.cache_clear()
    assert type(fastest_steps()) is TorchSteps
    assert len(caplog.records) == 1
    assert "its SHA-256 is" in caplog.text
    assert "install beam_sts again" in caplog.text


@pytest.mark.parametrize("lost", ["kernels.library", "kernels.library.sha256"])
def test_a_library_or_a_digest_alone_is_told_of(fresh, caplog, lost):
    (fresh / "kernels.library").write_bytes(b"x")
    write_digest(fresh / "kernels.library")
    (fresh / lost).unlink()
    assert type(fastest_steps()) is TorchSteps
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc)")
@pytest.mark.parametrize("code", ["int beam_sts_version(void) { return 0; }", "int other;"])
def test_a_library_of_another_version_is_not_used(fresh, caplog, code):
    (fresh / "old.c").write_text(code)
    library = fresh / "kernels.library"
    subprocess.run([COMPILER, "-shared", "-fPIC", str(fresh / "old.c"), "-o", str(library)], check=True)
    write_digest(library)
    assert type(fastest_steps()) is TorchSteps
    assert "install beam_sts again" in caplog.text

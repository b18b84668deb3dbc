"""The native engine compared with NumPy in float64, with every instruction set; and refused inputs."""

import dataclasses
import logging
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from beam_sts.models.checksums import write_digest
from beam_sts.scoring.engine import batch, library, native
from beam_sts.scoring.engine.batch import TokenIds
from beam_sts.scoring.engine.library import LEVELS, installed_library, supported_kinds
from beam_sts.scoring.engine.native import Native
from beam_sts.scoring.engine.packing import BFLOAT16, FLOAT32, INT8
from beam_sts.scoring.engine.reference import erf
from beam_sts.scoring.engine.shape import Shape
from beam_sts.scoring.engine.weights import Weights, check_shapes
from tests import engine_models
from tests.engine_models import SPECIAL, config, configs, expected_logits, micro_batch, model, texts_lengths

COMPILER = shutil.which("cc")
LIBRARY = installed_library()
BEST = LIBRARY.beam_sts_level() if LIBRARY else -1
needs_library = pytest.mark.skipif(LIBRARY is None, reason="no compiled engine here")
varied = hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=range(BEST + 1), ids=LEVELS[: BEST + 1])
def level(request):
    """Every instruction set of this CPU."""
    return request.param


@needs_library
@varied
@given(settings=configs(), lengths=texts_lengths, seed=st.integers(0, 9))
def test_any_shape_agrees_with_plain_numpy(level, settings, lengths, seed):
    engine, shape, weights = model(LIBRARY, settings, level, FLOAT32, seed)
    pairs = micro_batch(shape, lengths, seed)
    np.testing.assert_allclose(
        engine.logits(pairs), expected_logits(shape, weights, pairs), rtol=0, atol=2e-4
    )


@needs_library
@varied
@given(settings=configs(smallest=16), lengths=texts_lengths, kind=st.sampled_from([BFLOAT16, INT8]))
def test_short_types_are_near_plain_numpy(level, settings, lengths, kind):
    if kind not in supported_kinds(LIBRARY, level):
        pytest.skip("this CPU multiplies no such numbers")
    engine, shape, weights = model(LIBRARY, settings, level, kind)
    pairs = micro_batch(shape, lengths)
    gaps = np.abs(engine.logits(pairs) - expected_logits(shape, weights, pairs))
    assert gaps.max() < 0.6  # random weights were not trained to tolerate rounding
    assert gaps.mean() < 0.2


@needs_library
@varied
@given(settings=configs(), lengths=texts_lengths)
def test_a_table_projected_beforehand_and_one_that_is_too_large_agree(level, settings, lengths):
    projected, shape, _ = model(LIBRARY, settings, level, FLOAT32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_MOST_PROJECTED", 0)
        large, _, _ = model(LIBRARY, settings, level, FLOAT32)
    assert large._model.projected is None
    assert projected._model.projected
    pairs = micro_batch(shape, lengths)
    np.testing.assert_allclose(projected.logits(pairs), large.logits(pairs), rtol=0, atol=2e-4)


@needs_library
def test_numbers_that_are_not_finite_stay_so(level):
    """An overflow in the model gives an error for the pair, not a score."""
    for kind in sorted(supported_kinds(LIBRARY, level)):
        settings = config(projections=1, window=1)
        shape = Shape.of(settings)
        tensors = engine_models.tensors(shape)
        tensors["bert.embeddings.word_embeddings.embeddings.weight"][7] = 3e38
        tensors["bert.embeddings.word_embeddings.projections.weight"][:] = 3e38
        engine = Native(LIBRARY, shape, Weights.of(shape, tensors), SPECIAL, kind, level)
        pairs = micro_batch(shape, [[2, 1], [2, 3]])
        ids = np.full(8, 9)
        ids[[0, 1]] = 7
        broken = dataclasses.replace(pairs, ids=TokenIds(ids, shape.vocabulary))
        tensors["bert.embeddings.word_embeddings.embeddings.weight"][9] = 0
        logits = engine.logits(broken)
        assert np.isnan(logits[0]), LEVELS[level]


@needs_library
def test_threads_give_the_bits_of_one(level):
    """Many micro-batches of all types at once in one library, which has no shared state."""
    work = []
    for kind in supported_kinds(LIBRARY, level):
        for number, settings in enumerate((config(), config(rotary_dims=0, segment_dims=0, window=1))):
            engine, shape, _ = model(LIBRARY, settings, level, kind, number)
            work += [(engine, micro_batch(shape, [[n, 3, 9], [5, n, 0]], n)) for n in range(0, 200, 7)]
    alone = [engine.logits(pairs) for engine, pairs in work]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            together = list(pool.map(lambda one: one[0].logits(one[1]), work))
            for one, other in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, other)


BROKEN_PAIRS = {
    "negative kept": lambda p: {"kept": p.kept - 10},
    "kept beyond the ids": lambda p: {"kept": p.kept + 1000},
    "kept of other pairs": lambda p: {"kept": p.kept[:, :1].copy()},
    "kept in one row": lambda p: {"kept": p.kept[0]},
    "no pair": lambda p: {"kept": p.kept[:, :0], "starts": p.starts[:, :0]},
    "int32 kept": lambda p: {"kept": p.kept.astype(np.int32)},
    "big-endian kept": lambda p: {"kept": p.kept.astype(">i8")},
    "strided kept": lambda p: {"kept": np.repeat(p.kept, 2, axis=1)[:, ::2]},
    "Fortran kept": lambda p: {"kept": np.asfortranarray(p.kept)},
    "negative starts": lambda p: {"starts": p.starts - 1},
    "starts beyond the ids": lambda p: {"starts": p.starts + 1000},
    "starts whose sum overflows": lambda p: {"starts": p.starts + np.array([[0, 0], [0, 2**63 - 10]])},
    "starts in float": lambda p: {"starts": p.starts.astype(float)},
    "ids that nobody checked": lambda p: {"ids": p.ids.array},
    "ids of a larger vocabulary": lambda p: {"ids": TokenIds(p.ids.array, 10_000)},
    "rotary factors of too few places": lambda p: {"rotary": p.rotary[:2]},
    "rotary factors of another width": lambda p: {"rotary": p.rotary[:, :2].copy()},
    "rotary factors in double": lambda p: {"rotary": p.rotary.astype(float)},
    "rotary factors not aligned": lambda p: {"rotary": _unaligned(p.rotary)},
    "temperature of one pair": lambda p: {"temperature": p.temperature[:1]},
    "temperature in double": lambda p: {"temperature": p.temperature.astype(float)},
    "temperature that is a list": lambda p: {"temperature": [1.0, 1.0]},
}


def _unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    return raw[1:].view(array.dtype).reshape(array.shape)


@needs_library
@pytest.mark.parametrize("broken", BROKEN_PAIRS.values(), ids=BROKEN_PAIRS)
def test_a_micro_batch_that_does_not_fit_is_refused_before_a_pointer_is_passed(broken, monkeypatch):
    engine, shape, _ = model(LIBRARY, config(), 0)
    pairs = micro_batch(shape, [[3, 0], [2, 9]])
    engine.logits(pairs)
    monkeypatch.setattr(native, "address", None)  # it creates all pointers
    with pytest.raises(ValueError, match=r"\w"):
        engine.logits(dataclasses.replace(pairs, **broken(pairs)))


@needs_library
def test_pairs_beyond_the_positions_are_refused():
    settings = config(rotary_dims=0, segment_dims=0, max_position_embeddings=12)
    engine, shape, _ = model(LIBRARY, settings, 0)
    engine.logits(micro_batch(shape, [[4], [5]]))
    with pytest.raises(ValueError, match="a pair has 13 tokens, but the model has 12 positions"):
        engine.logits(micro_batch(shape, [[5], [5]]))


@needs_library
def test_texts_that_do_not_fit_are_refused(monkeypatch):
    engine, shape, _ = model(LIBRARY, config(), 0)
    ids, owners = TokenIds(np.array([5, 6, 3, 7, 3]), shape.vocabulary), np.array([0, 0, 0, 1, 1], np.int32)
    texts = batch.SharedTexts.empty(shape, 5)
    engine.embed(ids, owners, texts, 0)
    engine.embed(TokenIds(np.array([2]), shape.vocabulary), owners[:1], texts, 5)
    pairs = dataclasses.replace(
        micro_batch(shape, [[2, 1], [1, 2]]), texts=texts, rows=np.array([[0, 3], [3, 0]])
    )
    assert np.isfinite(engine.logits(pairs)).all()
    absolute, other, _ = model(LIBRARY, config(rotary_dims=0, segment_dims=0), 0)
    narrow = batch.SharedTexts(texts.hidden[:, :16].copy(), texts.qkv)
    monkeypatch.setattr(native, "address", None)
    for start, some, whose in (
        (2, texts, owners),
        (-1, texts, owners),
        (0, narrow, owners),
        (0, texts, owners[:4]),
    ):
        with pytest.raises(ValueError, match=r"rows|hidden|owners"):
            engine.embed(ids, whose, some, start)
    with pytest.raises(ValueError, match="not checked"):
        engine.embed(ids.array, owners, texts, 0)
    with pytest.raises(ValueError, match="depends on the pair"):
        absolute.embed(ids, owners, texts, 0)
    for changed in (
        {"rows": pairs.rows + 2},
        {"rows": pairs.rows - 1},
        {"rows": pairs.rows + np.array([[0, 0], [0, 2**63 - 1]])},
        {"rows": pairs.rows[:1]},
        {"rows": None},
        {"texts": narrow},
        {"texts": batch.SharedTexts(texts.hidden, texts.qkv[:-1])},
    ):
        with pytest.raises(ValueError, match=r"rows?|hidden|qkv|depends"):
            engine.logits(dataclasses.replace(pairs, **changed))
    rotary = np.empty((20, other.rotary), np.float32)
    with pytest.raises(ValueError, match="depends on the pair"):
        absolute.logits(dataclasses.replace(pairs, rotary=rotary, temperature=None))


@pytest.mark.parametrize("ids", [[5, 50], [-1], [[1]], [1.0], [True]])
def test_token_ids_outside_of_the_vocabulary_are_refused(ids):
    with pytest.raises(ValueError, match="token ids"):
        TokenIds(np.array(ids), 50)


def test_checked_token_ids_are_a_copy_that_cannot_be_changed():
    given = np.array([1, 2, 3])
    ids = TokenIds(given, 10)
    given[0] = 99
    assert ids.array.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        ids.array[0] = 99


BROKEN_CONFIGS = {
    "hidden_size": [0, -8, 25, True, 8.0, None, "8", 1 << 40],
    "num_attention_heads": [0, 5, 1 << 20],
    "num_hidden_layers": [0, 1 << 20],
    "intermediate_size": [0, 1 << 40],
    "vocab_size": [0, 1 << 40],
    "projections": [0, -1],
    "window": [0, 2, 999],
    "rotary_dims": [-2, 3, 14, 1 << 30],
    "segment_dims": [-1, 9],
    "rotary_base": [0, float("nan"), float("inf"), "x"],
    "sharp_length": [0, 1],
    "layer_norm_eps": [-1, float("nan"), 2],
    "max_position_embeddings": [],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BROKEN_CONFIGS.items() for value in values]
)
def test_a_config_out_of_bounds_is_refused_by_its_key(key, value):
    with pytest.raises(ValueError, match=key):
        Shape.of(config(**{key: value}))


def test_segment_numbers_need_rotary_positions():
    with pytest.raises(ValueError, match="segment_dims 3 needs rotary positions"):
        Shape.of(config(rotary_dims=0))


BROKEN_TENSORS = {
    "missing": lambda tensors, name: tensors.pop(name),
    "flat": lambda tensors, name: tensors.update({name: tensors[name].ravel()[:-1]}),
    "in integers": lambda tensors, name: tensors.update({name: tensors[name].astype(np.int32)}),
    "a list": lambda tensors, name: tensors.update({name: tensors[name].tolist()}),
    "NaN": lambda tensors, name: tensors[name].fill(np.nan),
    "infinite": lambda tensors, name: tensors[name].fill(-np.inf),
    "too large": lambda tensors, name: tensors.update({name: np.full(tensors[name].shape, 1e39)}),
}


@pytest.mark.parametrize("broken", BROKEN_TENSORS.values(), ids=BROKEN_TENSORS)
@pytest.mark.parametrize("kind", [{}, {"rotary_dims": 0, "segment_dims": 0}])
def test_a_tensor_that_does_not_fit_is_refused_by_its_name(kind, broken):
    shape = Shape.of(config(**kind))
    for name in engine_models.tensors(shape):
        tensors = engine_models.tensors(shape)
        broken(tensors, name)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            Weights.of(shape, tensors)


def test_halves_and_doubles_are_floats_too():
    shape = Shape.of(config())
    tensors = engine_models.tensors(shape)
    for kind in (np.float16, np.float64):
        check_shapes(shape, {name: tensor.astype(kind) for name, tensor in tensors.items()})


@needs_library
def test_special_tokens_types_and_instructions_that_there_are_not_are_refused():
    shape = Shape.of(config())
    weights = Weights.of(shape, engine_models.tensors(shape))
    with pytest.raises(ValueError, match="special tokens"):
        Native(LIBRARY, shape, weights, (2, 3, 50))
    with pytest.raises(ValueError, match="instruction set 4"):
        Native(LIBRARY, shape, weights, SPECIAL, level=4)
    with pytest.raises(ValueError, match="cannot multiply numbers of type 1"):
        Native(LIBRARY, shape, weights, SPECIAL, BFLOAT16, level=0)


@needs_library
def test_the_checks_cannot_be_switched_off():
    """With ``python -O``, which removes every ``assert``."""
    code = """
import dataclasses
from beam_sts.scoring.engine.library import installed_library
from tests.engine_models import config, micro_batch, model
assert False, "this is dropped"
engine, shape, _ = model(installed_library(), config(), 0)
pairs = micro_batch(shape, [[3], [4]])
try:
    engine.logits(dataclasses.replace(pairs, starts=pairs.starts + 100))
except ValueError as error:
    print(error)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-O", "-c", code], capture_output=True, text=True, check=False, cwd=root
    )
    assert "end beyond 7 tokens" in done.stdout, done.stderr


def test_the_error_function_is_that_of_the_library():
    import math

    x = np.linspace(-7, 7, 4001)
    np.testing.assert_allclose(erf(x), [math.erf(value) for value in x], rtol=0, atol=1e-11)


@pytest.fixture
def fresh(tmp_path, monkeypatch, caplog):
    """An empty folder for the engine's library, and an empty cache as in a new process."""
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    installed_library.cache_clear()
    caplog.set_level(logging.INFO)
    yield tmp_path
    installed_library.cache_clear()


def test_an_installation_has_the_compiled_engine():
    if COMPILER is None:
        pytest.skip("no C compiler (cc)")
    assert LIBRARY is not None


def test_without_a_library_numpy_runs(fresh, caplog):
    assert installed_library() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "without a C compiler" in caplog.text


def test_a_library_that_cannot_be_loaded_is_told_of(fresh, caplog):
    (fresh / "native.library").write_bytes(b"of another machine")
    write_digest(fresh / "native.library")
    assert installed_library() is None
    assert "native.library cannot be used" in caplog.text


def _cut(raw):
    return raw[: len(raw) // 2]


def _flip(raw):
    return bytes([*raw[:-100], raw[-100] ^ 1, *raw[-99:]])


@needs_library
@pytest.mark.parametrize("damage", [_cut, _flip, lambda raw: b"", lambda raw: raw + b"x"])
def test_a_damaged_library_is_not_loaded(fresh, caplog, damage):
    source = Path(engine_models.__file__).parents[1] / "beam_sts" / "scoring" / "engine" / "native.library"
    library = fresh / "native.library"
    library.write_bytes(source.read_bytes())
    write_digest(library)
    assert installed_library() is not None
    # A copy, because the loaded file is mapped.
    library.unlink()
    library.write_bytes(damage(source.read_bytes()))
    installed_library.cache_clear()
    assert installed_library() is None
    assert len(caplog.records) == 1
    assert "its SHA-256 is" in caplog.text
    assert "Install beam_sts again" in caplog.text


@pytest.mark.parametrize("lost", ["native.library", "native.library.sha256"])
def test_a_library_or_a_digest_alone_is_told_of(fresh, caplog, lost):
    (fresh / "native.library").write_bytes(b"x")
    write_digest(fresh / "native.library")
    (fresh / lost).unlink()
    assert installed_library() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.skipif(COMPILER is None, reason="no C compiler (cc)")
@pytest.mark.parametrize("code", ["long beam_sts_version(void) { return 0; }", "int other;"])
def test_a_library_of_another_version_is_not_used(fresh, caplog, code):
    names = "".join(f"long beam_sts_{name}(void) {{ return 0; }}" for name in ("level", "panel", "kinds"))
    (fresh / "old.c").write_text(code + names)
    library = fresh / "native.library"
    subprocess.run([COMPILER, "-shared", "-fPIC", str(fresh / "old.c"), "-o", str(library)], check=True)
    write_digest(library)
    assert installed_library() is None
    assert "Install beam_sts again" in caplog.text

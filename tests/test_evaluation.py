import io
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_sts.evaluation import Agreement, UndefinedCorrelationError, agreement, group_means, plot


def test_known_values():
    # By hand: deviations (-1.5, -.5, .5, 1.5) and (-1.25, -.25, -.25, 1.75) give 4.5 / sqrt(5 * 4.75);
    # ranks 1 2 3 4 and 1 2.5 2.5 4 give 4.5 / sqrt(5 * 4.5).
    found = agreement([1, 2, 3, 4], [0, 1, 1, 3])
    assert found.count == 4
    assert found.pearson == pytest.approx(4.5 / math.sqrt(5 * 4.75))
    assert found.spearman == pytest.approx(4.5 / math.sqrt(5 * 4.5))


def test_a_curve_has_full_rank_but_not_full_linear_correlation():
    found = agreement(np.exp(np.arange(10.0)), np.arange(10.0))
    assert found.spearman == pytest.approx(1)
    assert found.pearson < 0.9


@given(
    st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)), min_size=2, max_size=50),
    st.floats(0.1, 10),
    st.floats(-5, 5),
)
def test_the_gold_scale_does_not_matter_and_its_sign_flips(rows, scale, shift):
    scores, gold = np.array(rows, float).T
    if scores.min() == scores.max() or gold.min() == gold.max():
        with pytest.raises(UndefinedCorrelationError):
            agreement(scores, gold)
        return
    plain, scaled, flipped = (agreement(scores, g) for g in (gold, gold * scale + shift, -gold))
    assert scaled.pearson == pytest.approx(plain.pearson, abs=1e-6)
    assert flipped.pearson == pytest.approx(-plain.pearson, abs=1e-9)
    assert flipped.spearman == pytest.approx(-plain.spearman, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "gold", "said"),
    [
        ([], [], "at least 2 rows.*0 gold"),
        ([0.5], [1], "at least 2 rows.*1 gold"),
        ([0.1, 0.2, 0.3], [4, 4, 4], "all 3 gold scores are 4"),
        ([0.5, 0.5], [1, 2], "all 2 model scores are 0.5"),
    ],
)
def test_undefined_is_an_error_not_nan(scores, gold, said):
    with pytest.raises(UndefinedCorrelationError, match=said):
        agreement(scores, gold)


@pytest.mark.parametrize(
    ("scores", "gold", "said"),
    [
        ([0.1, 0.2], [1], r"\(2,\) and \(1,\)"),
        ([0.1, float("nan")], [1, 2], "model scores.*number 1 .* nan"),
        ([0.1, 0.2], [float("inf"), 2], "gold scores.*number 0 .* inf"),
    ],
)
def test_wrong_input_names_the_place(scores, gold, said):
    with pytest.raises(ValueError, match=said):
        agreement(scores, gold)


def test_an_agreement_is_a_value_of_plain_numbers():
    found = agreement([0, 1], [0, 5])
    assert found == Agreement(2, pytest.approx(1), pytest.approx(1))
    assert {type(value) for value in vars(found).values()} == {int, float}


@pytest.mark.parametrize("count", [2, 500, 50_000])
def test_plot_is_a_png_with_points_and_text(count):
    image = pytest.importorskip("matplotlib.image")
    rng = np.random.default_rng(1)
    gold = np.linspace(0, 5, count)
    file = io.BytesIO()
    plot(
        file,
        np.clip(gold / 5 + rng.normal(0, 0.1, count), 0, 1),
        gold,
        model="m",
        gold_name="$odd_name",
        source="file_with_$_in_it.parquet",
    )
    file.seek(0)
    pixels = image.imread(file)
    assert pixels.shape[:2] == (900, 1050)
    blue = (pixels[..., 2] > pixels[..., 0] + 0.1).mean()
    red = (pixels[..., 0] > pixels[..., 2] + 0.2).mean()
    assert blue > 0.0001
    assert red > 0.0005


def test_without_matplotlib_the_error_names_the_extra():
    # A real interpreter in which the import fails, as without the extra.
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from beam_sts.evaluation import require_matplotlib\n"
        "try: require_matplotlib()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'beam_sts[plot]'" in done.stdout


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(5)
    for size, tries in ((40, 120), (6_000, 40)):
        samples = [group_means(rng.beta(2, 3, size), ["g"] * size)[0] for _ in range(tries)]
        covered = np.mean([group.low <= 0.4 <= group.high for group in samples])
        assert 0.85 <= covered <= 1


def test_a_group_without_spread_has_an_interval_of_no_width():
    (group,) = group_means([0.5, 0.5, 0.5], ["g"] * 3)
    assert (group.low, group.mean, group.high) == (0.5, 0.5, 0.5)

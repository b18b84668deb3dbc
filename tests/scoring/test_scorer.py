import random
import threading

import numpy as np
import pyarrow as pa
import pytest
from sentence_transformers import CrossEncoder

from beam_sts import PairScorer, UserError
from beam_sts.scoring.scripts import unreadable_tokens
from beam_sts.scoring.torch_backend import TorchBackend
from tests.checkpoints import SENTENCES


@pytest.mark.parametrize("size", ["tiny", "full_size"])
def test_scores_agree_with_the_reference_whatever_the_batching(size, pairs, request):
    folder = request.getfixturevalue(size)
    reference = CrossEncoder(str(folder), device="cpu")
    expected = reference.predict(pairs, batch_size=64)
    assert expected.std() > 0.1
    for budget in (1, 700, 100_000):
        ours = PairScorer(folder, token_budget=budget, threads=2).score(pairs)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-6)


def test_scores_agree_with_the_reference_on_the_same_micro_batch(full_size):
    same = [(a, b) for a in SENTENCES for b in SENTENCES]
    expected = CrossEncoder(str(full_size), device="cpu").predict(same, batch_size=len(same))
    ours = PairScorer(full_size, token_budget=10**6, threads=1)
    ours._backend = TorchBackend(ours._checkpoint.model())
    np.testing.assert_allclose(ours.score(same), expected, rtol=0, atol=1e-6)


def test_raw_logits_agree_with_the_reference(tiny, pairs):
    import torch

    expected = CrossEncoder(str(tiny), activation_fn=torch.nn.Identity(), device="cpu").predict(pairs)
    np.testing.assert_allclose(PairScorer(tiny).score(pairs, raw_logits=True), expected, rtol=1e-5, atol=1e-5)


def test_the_order_of_the_pairs_does_not_matter(scorer, pairs):
    shuffled = random.Random(3).sample(range(len(pairs)), len(pairs))
    straight = scorer.score(pairs)
    np.testing.assert_allclose(scorer.score([pairs[i] for i in shuffled]), straight[shuffled], atol=2e-6)


def test_scores_do_not_depend_on_the_number_of_threads_to_the_last_bit(tiny, pairs):
    one, three = (PairScorer(tiny, threads=n).score(pairs) for n in (1, 3))
    assert one.tobytes() == three.tobytes()


def test_padding_stays_under_six_percent_on_a_log_normal_mix(tiny):
    rng = random.Random(0)
    words = " ".join(SENTENCES).split()

    def text():
        return " ".join(rng.choices(words, k=max(1, int(rng.lognormvariate(2.2, 0.8)))))

    pairs = [(text(), text()) for _ in range(6000)]
    scorer = PairScorer(tiny, macro_batch=2048)
    assert scorer.run(*zip(*pairs, strict=True)).stats.padding_ratio == 1  # the engine uses no padding
    scorer._backend = TorchBackend(scorer._checkpoint.model())
    stats = scorer.run(*zip(*pairs, strict=True)).stats
    assert stats.padding_ratio <= 1.06
    assert stats.padded_tokens > stats.real_tokens


def test_each_text_is_tokenised_once_and_each_pair_scored_once(scorer):
    pairs = [("a", "b"), ("b", "c"), ("a", "b"), ("b", "a"), ("a", "b")]
    result = scorer.run(*zip(*pairs, strict=True))
    assert result.stats.texts_tokenised == 3
    assert result.stats.pairs_reused == 2
    assert result.stats.pairs == 5
    assert result.scores[0] == result.scores[2] == result.scores[4]
    assert result.stats.real_tokens == 3 * 5


def test_symmetric_is_the_mean_of_both_orders(scorer, pairs):
    both = (scorer.score(pairs) + scorer.score([(b, a) for a, b in pairs])) / 2
    np.testing.assert_allclose(scorer.score(pairs, symmetric=True), both, atol=2e-6)
    turned = scorer.score([(b, a) for a, b in pairs], symmetric=True)
    np.testing.assert_allclose(scorer.score(pairs, symmetric=True), turned, atol=2e-6)


def test_symmetric_scores_a_pair_and_its_turn_once(scorer):
    assert scorer.run(["a", "b"], ["b", "a"], symmetric=True).stats.pairs_reused == 1


def test_truncated_pairs_are_counted(scorer):
    long, longer = "guitar " * 300, "guitar " * 600
    assert scorer.run(["a", long, longer, long], ["b", "b", "b", long]).stats.truncated == 2


def test_rows_are_counted_however_often_a_pair_repeats(scorer):
    long = "guitar " * 600
    assert scorer.run([long] * 3, ["b"] * 3).stats.truncated == 3
    assert scorer.run([long, "b"], ["b", long], symmetric=True).stats.truncated == 2


def test_pairs_of_unknown_words_are_counted():
    scorer = PairScorer()  # the embedded model knows no Chinese
    pairs = [("他在图书馆看书。", "火车晚点了两个小时。"), ("A man reads.", "A man reads 书."), ("", "")]
    assert scorer.run(*zip(*pairs, strict=True)).stats.unknown == 1


@pytest.mark.parametrize(
    "text",
    [
        "Он читает книгу в библиотеке.",
        "الرجل يقرأ كتابا في المكتبة",
        "Ο άνθρωπος διαβάζει",
        "נמלה קטנה",
        "आदमी किताब पढ़ रहा है",
        "他在图书馆看书。",
        "彼は本を読んでいる",
        "그는 책을 읽는다",
    ],
)
@pytest.mark.parametrize("model", ["beam-sts-nano", "beam-sts-pico"])
def test_a_pair_with_one_unreadable_text_is_counted(model, text):
    scorer = PairScorer(model, threads=1)
    english = "A man is reading a book in the library, and it rains."
    assert scorer.run([english, text, english], [text, english, english]).marked["unknown"].tolist() == [0, 1]


def test_english_with_a_foreign_letter_or_word_is_readable():
    pairs = [
        ("The naïve café in São Paulo.", "Zürich"),
        ("π is about 3.14", "about 3"),
        ("He said да.", "a man"),
    ]
    assert PairScorer(threads=1).run(*zip(*pairs, strict=True)).stats.unknown == 0


def test_a_model_that_knows_a_script_reads_it():
    vocabulary = {f"слово{chr(0x430 + n % 32)}{n}": n for n in range(200)} | {
        "ж": 200,
        "ω": 201,
        "[UNK]": 202,
    }
    unreadable = unreadable_tokens(vocabulary, 202)
    assert np.flatnonzero(unreadable).tolist() == [201, 202]


def test_arrow_columns_of_any_string_type_and_chunking_give_the_same_scores(scorer, pairs):
    a, b = ([p[i] for p in pairs] for i in (0, 1))
    expected = scorer.score(pairs)
    for kind in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        column = pa.chunked_array([pa.array(a[:7], kind), pa.array(a[7:], kind)])
        assert scorer.run(column, pa.array(b, kind)).scores.tobytes() == expected.tobytes()


def test_no_pairs_give_no_scores(scorer):
    assert scorer.score([]).shape == (0,)
    assert scorer.score([], symmetric=True).dtype == np.float32


@pytest.mark.parametrize("bad", [[("a", None)], [("a", 5)], [("a",)], ["ab", "a"]])
def test_what_is_no_pair_of_strings_is_named(scorer, bad):
    with pytest.raises(TypeError, match=r"pairs\[\d\]"):
        scorer.score(bad)


def test_a_null_is_refused(scorer):
    with pytest.raises(ValueError, match="null"):
        scorer.run(pa.array(["a", None]), pa.array(["a", "b"]))


def test_several_threads_share_one_scorer(scorer, pairs):
    expected, seen = scorer.score(pairs).tobytes(), []
    threads = [threading.Thread(target=lambda: seen.append(scorer.score(pairs).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [expected] * 4


class Poisoned:
    """The real backend, which raises on every batch that has the token."""

    packs = False

    def __init__(self, backend, token: int) -> None:
        self._backend, self._token, self.calls = backend, token, 0

    def share(self, work, run):
        return self._backend.share(work, run)

    def logits(self, batch):
        self.calls += 1
        if (batch.padded.input_ids == self._token).any():
            raise FloatingPointError("poisoned")
        return self._backend.logits(batch)


@pytest.fixture
def poisoned(tiny):
    scorer = PairScorer(tiny)
    token = scorer._tokenizer.encode(["guitar"]).ids[0]
    scorer._backend = Poisoned(TorchBackend(scorer._checkpoint.model()), token)
    return scorer


def test_a_poisoned_pair_fails_alone(poisoned, scorer):
    pairs = [(f"fox {i}", "a dog") for i in range(100)]
    pairs[37] = pairs[81] = ("guitar", "fox")
    result = poisoned.run(*zip(*pairs, strict=True))
    assert result.failures == {37: "FloatingPointError: poisoned", 81: "FloatingPointError: poisoned"}
    good = [i for i in range(100) if i not in result.failures]
    np.testing.assert_allclose(result.scores[good], scorer.score([pairs[i] for i in good]), atol=2e-6)
    assert np.isnan(result.scores[[37, 81]]).all()
    with pytest.raises(RuntimeError, match=r"pairs\[37\].*poisoned"):
        poisoned.score(pairs)


def test_a_backend_that_always_fails_is_an_error_not_a_rejection_of_everything(poisoned):
    with pytest.raises(RuntimeError, match="every pair"):
        poisoned.run(["guitar"] * 50, [f"fox {i}" for i in range(50)])


def test_settings_that_make_no_sense_are_refused(tiny):
    wrong = [("precision", "fp64"), ("backend", "jax"), ("long_text", "no"), ("device", "tpu"), ("model", "")]
    wrong += [("allow_pickle", "no"), ("trust_remote_code", 1), ("model", 5)]
    counts = ("macro_batch", "token_budget", "threads")
    for name, value in [*wrong, *((name, value) for name in counts for value in (0, -1, 1.5, "2"))]:
        with pytest.raises(UserError, match=f"^{name} {value!r}".replace("'", "'?")):
            PairScorer(**{"model": tiny, name: value})


def test_bf16_stays_near(full_size, pairs):
    exact, fast = (PairScorer(full_size, precision=p).score(pairs) for p in ("fp32", "bf16"))
    assert 0 < np.abs(exact - fast).max() < 0.05

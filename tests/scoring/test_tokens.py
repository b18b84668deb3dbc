import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors
from transformers import AutoTokenizer

from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring.template import probe_template
from beam_sts.scoring.tokens import PairTokenizer
from tests.checkpoints import wordpiece


@pytest.fixture(scope="module")
def both(tiny):
    return PairTokenizer.of(load_checkpoint(tiny)), AutoTokenizer.from_pretrained(tiny)


def _assemble(tokenizer, pairs):
    table = tokenizer.encode([text for pair in pairs for text in pair])
    a, b = np.arange(0, 2 * len(pairs), 2), np.arange(1, 2 * len(pairs), 2)
    return tokenizer.assemble(table, a, b, *tokenizer.truncate(table.lengths[a], table.lengths[b]))


def _same(ours, reference):
    assert ours.input_ids.tolist() == reference["input_ids"].tolist()
    assert ours.attention_mask.tolist() == reference["attention_mask"].tolist()
    assert ours.token_type_ids.tolist() == reference["token_type_ids"].tolist()


def test_pairs_of_every_length_have_the_reference_tokenizers_ids(both, pairs):
    ours, reference = both
    options = {"padding": True, "truncation": "longest_first", "return_tensors": "np"}
    expected = reference([a for a, _ in pairs], [b for _, b in pairs], **options)
    _same(_assemble(ours, pairs), expected)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), min_size=1, max_size=5))
def test_any_unicode_has_the_reference_tokenizers_ids(both, pairs):
    ours, reference = both
    pairs = [(a, b) for a, b in pairs if (a + b).isprintable()] or [("", "")]
    options = {"padding": True, "truncation": "longest_first", "return_tensors": "np"}
    expected = reference([a for a, _ in pairs], [b for _, b in pairs], **options)
    _same(_assemble(ours, pairs), expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_and_truncation_sides_are_followed(tiny, side):
    reference = AutoTokenizer.from_pretrained(
        tiny, padding_side=side, truncation_side=side, model_max_length=12
    )
    ours = PairTokenizer(
        Tokenizer.from_str(reference.backend_tokenizer.to_str()),
        12,
        pad_left=side == "left",
        truncate_left=side == "left",
    )
    pairs = [("a man", "a guitar"), ("the quick brown fox jumps over the lazy dog", "a dog and a fox")]
    expected = reference(
        [a for a, _ in pairs],
        [b for _, b in pairs],
        padding=True,
        truncation="longest_first",
        return_tensors="np",
    )
    _same(_assemble(ours, pairs), expected)


def test_the_template_of_a_roberta_like_tokenizer_is_found():
    tokenizer = wordpiece()
    sep, cls = (tokenizer.token_to_id(token) for token in ("[SEP]", "[CLS]"))
    tokenizer.post_processor = processors.RobertaProcessing(("[SEP]", sep), ("[CLS]", cls))
    assert probe_template(tokenizer).parts == ((cls,), (sep, sep), (sep,))


def test_a_tokenizer_that_puts_pairs_the_other_way_round_is_refused():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$B $A", special_tokens=[])
    with pytest.raises(ValueError, match="template"):
        probe_template(tokenizer)

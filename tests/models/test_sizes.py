"""The sizes of BERT-hash without transformers equal those of its config, and the same values are refused."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beam_sts import UserError
from beam_sts.models.architectures import read_config
from beam_sts.models.configs import BertHashConfig
from beam_sts.models.sizes import BertHashSizes, bert_hash_sizes

VALUES = {
    "vocab_size": st.integers(1, 500),
    "projections": st.integers(1, 40),
    "hidden_size": st.integers(1, 64),
    "num_attention_heads": st.integers(1, 4),
    "num_hidden_layers": st.integers(1, 3),
    "window": st.integers(1, 6),
    "rotary_dims": st.integers(0, 12),
    "segment_dims": st.integers(0, 12),
    "hidden_act": st.sampled_from(["gelu", "relu"]),
    "pad_token_id": st.none() | st.integers(0, 300),
    "num_labels": st.integers(1, 3),
    "id2label": st.none() | st.just({"0": "LABEL_0"}) | st.just({"0": "a", "1": "b"}),
    "architectures": st.sampled_from([["BertHashForSequenceClassification"], ["BertHashModel"], None]),
    "layer_norm_eps": st.sampled_from([1e-12, 1e-5]),
    "is_decoder": st.booleans(),
}


@given(values=st.fixed_dictionaries({}, optional=VALUES))
@example(values={"num_labels": 2, "id2label": {"0": "LABEL_0"}})
@example(values={"num_labels": 1, "id2label": {"0": "a", "1": "b"}})
def test_they_are_those_of_the_config_or_both_refuse(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    values = {"model_type": "bert_hash"} | values
    (folder / "config.json").write_text(json.dumps(values))
    try:
        expected = read_config(folder, values)
    except UserError:
        expected = None
    try:
        sizes = bert_hash_sizes(values, folder)
    except UserError:
        sizes = None
        # transformers detects a padding token beyond the table only when it builds the model.
        pad, rows = values.get("pad_token_id", 0), values.get("vocab_size", 30_522)
        assert expected is None or (pad is not None and pad >= rows)
    if sizes:
        assert expected is not None
        for name in vars(sizes):
            assert getattr(sizes, name) == getattr(expected, name), name


def test_the_defaults_are_those_of_the_config():
    config = BertHashConfig()
    assert {name: getattr(config, name) for name in vars(BertHashSizes())} == vars(BertHashSizes())


@pytest.mark.parametrize(
    "values",
    [{"is_decoder": 1}, {"hidden_act": None}, {"id2label": ["a"]}, {"hidden_size": 770}, {"window": 4}],
    ids=str,
)
def test_a_value_that_is_none_is_named_with_its_place(values):
    with pytest.raises(UserError, match=f"here/config.json: {next(iter(values))}"):
        bert_hash_sizes(values, "here/config.json")

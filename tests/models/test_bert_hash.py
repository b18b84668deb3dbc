from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from beam_sts.models.bert_hash import (
    BertHashConfig,
    BertHashForSequenceClassification,
    BertHashModel,
    rotation_of,
)
from beam_sts.training.student import StudentSize, matching_start, parameter_count

PUBLISHED = {"femto": (5, 50, 200, 242_611), "pico": (8, 80, 320, 448_417), "nano": (16, 128, 512, 969_761)}


def published_config(projections=5, hidden=50, intermediate=200):
    return BertHashConfig(
        projections=projections,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_labels=1,
    )


def small_config(**changes):
    values = {
        "vocab_size": 90, "projections": 6, "hidden_size": 24, "intermediate_size": 40,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": 1, "max_position_embeddings": 256,
        "rotary_dims": 4, "window": 3,
    }  # fmt: skip
    return BertHashConfig(**{**values, **changes})


def batch(lengths, split=0.5, longest=None, vocabulary=90, seed=0):
    generator = torch.Generator().manual_seed(seed)
    longest = longest or max(lengths)
    ids = torch.zeros(len(lengths), longest, dtype=torch.long)
    types, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(5, vocabulary, (length,), generator=generator)
        types[row, int(length * split) : length] = 1
        mask[row, :length] = 1
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}


@pytest.mark.parametrize(
    ("projections", "hidden", "intermediate", "count"), PUBLISHED.values(), ids=PUBLISHED
)
def test_published_sizes_have_the_published_parameters(projections, hidden, intermediate, count):
    model = BertHashForSequenceClassification(published_config(projections, hidden, intermediate))
    assert parameter_count(model) == count


def test_published_config_has_the_published_keys_only():
    keys = set(BertHashForSequenceClassification(published_config()).state_dict())
    assert "bert.embeddings.position_embeddings.weight" in keys
    assert {key for key in keys if "word_embeddings" in key} == {
        "bert.embeddings.word_embeddings.embeddings.weight",
        "bert.embeddings.word_embeddings.projections.weight",
        "bert.embeddings.word_embeddings.projections.bias",
    }


def test_auto_classes_know_the_architecture(tmp_path):
    model = BertHashForSequenceClassification(small_config())
    model.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), BertHashConfig)
    assert isinstance(
        AutoModelForSequenceClassification.from_pretrained(tmp_path), BertHashForSequenceClassification
    )
    assert isinstance(AutoModel.from_pretrained(tmp_path), BertHashModel)


@pytest.mark.parametrize(
    "changes", [{}, {"segment_dims": 2}, {"rotary_dims": 0, "window": 1}, {"rotary_dims": 0}], ids=str
)
def test_saved_and_loaded_model_gives_equal_logits(tmp_path, changes):
    model = BertHashForSequenceClassification(small_config(**changes)).eval()
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32).eval()
    inputs = batch([30, 12])
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs).logits, loaded(**inputs).logits, atol=1e-7, rtol=0)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padding_does_not_change_a_rotary_pair(attention):
    model = BertHashForSequenceClassification(small_config(attn_implementation=attention)).eval()
    inputs = batch([40, 17])
    alone = {name: tensor[1:, :17] for name, tensor in inputs.items()}
    with torch.no_grad():
        assert model(**inputs).logits[1].item() == pytest.approx(model(**alone).logits.item(), abs=1e-6)


def test_attention_functions_agree():
    config = small_config()
    eager = BertHashForSequenceClassification(config).eval()
    sdpa = BertHashForSequenceClassification(small_config(attn_implementation="sdpa")).eval()
    sdpa.load_state_dict(eager.state_dict())
    inputs = batch([33, 8])
    with torch.no_grad():
        torch.testing.assert_close(eager(**inputs).logits, sdpa(**inputs).logits, atol=1e-6, rtol=0)


def test_rotary_places_count_from_the_start_of_each_text():
    config = small_config()
    types = torch.tensor([[0, 0, 0, 1, 1, 1]])
    found = rotation_of(config, types, torch.tensor([6]))
    torch.testing.assert_close(found.cosine[0, 0, 1], found.cosine[0, 0, 3])
    torch.testing.assert_close(found.sine[0, 0, 2], found.sine[0, 0, 4])
    assert found.sharpness.item() == 1.0


def test_queries_sharpen_with_the_logarithm_of_the_length():
    types = torch.zeros(1, 8, dtype=torch.long)
    sharpness = [
        rotation_of(small_config(), types, torch.tensor([n])).sharpness.item() for n in (8, 64, 4096)
    ]
    assert sharpness == pytest.approx([1.0, 1.0, 2.0])


def test_rotary_model_has_no_position_table_and_takes_long_pairs():
    model = BertHashForSequenceClassification(small_config(max_position_embeddings=8192)).eval()
    assert not any("position" in key for key in model.state_dict())
    with torch.no_grad():
        logits = model(**batch([8192])).logits
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 2}, "window must be odd"),
        ({"rotary_dims": 5}, "even"),
        ({"rotary_dims": 0, "segment_dims": 2}, "needs rotary"),
    ],
)
def test_impossible_configs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        BertHashForSequenceClassification(small_config(**changes))


def test_signed_texts_make_the_order_irrelevant():
    torch.manual_seed(0)
    model = BertHashForSequenceClassification(small_config(segment_dims=2, initializer_range=0.3)).eval()
    plain = BertHashForSequenceClassification(small_config(initializer_range=0.3)).eval()
    a, b = torch.randint(5, 90, (11,)), torch.randint(5, 90, (6,))
    cls, sep = torch.tensor([2]), torch.tensor([3])

    def logit(of, first, second):
        ids = torch.cat([cls, first, sep, second, sep])[None]
        types = torch.tensor([[0] * (len(first) + 2) + [1] * (len(second) + 1)])
        with torch.no_grad():
            return of(input_ids=ids, token_type_ids=types).logits.item()

    assert logit(model, a, b) == pytest.approx(logit(model, b, a), abs=1e-5)
    assert abs(logit(plain, a, b) - logit(plain, b, a)) > 1e-3
    assert not any("token_type" in key for key in model.state_dict())


def test_matching_start_tells_alike_from_unlike_before_any_training():
    size = StudentSize(vocabulary=200, projections=16, hidden=64, intermediate=128, rotary_dims=8)
    table = np.random.default_rng(0).standard_normal((200, 16)).astype(np.float32)
    table[0] = 0
    model = matching_start(size.config(), table, seed=0).eval()
    attention = model.bert.encoder.layer[0].attention.self
    seen = {}
    attention.query.register_forward_hook(lambda _, __, output: seen.update(query=output))
    attention.key.register_forward_hook(lambda _, __, output: seen.update(key=output))
    words = torch.arange(10, 18)
    ids = torch.cat([torch.tensor([2]), words, torch.tensor([3]), words.flip(0), torch.tensor([3])])[None]
    types = torch.tensor([[0] * 10 + [1] * 9])
    with torch.no_grad():
        model(input_ids=ids, token_type_ids=types, attention_mask=torch.ones_like(ids))
    logits = seen["query"][0, :, :16] @ seen["key"][0, :, :16].T
    assert logits[1:9, 10:18].argmax(dim=1).tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_matching_start_refuses_a_table_of_another_shape():
    size = StudentSize(vocabulary=200, projections=16, hidden=64, intermediate=128)
    with pytest.raises(ValueError, match=r"\(100, 16\).*\(200, 16\)"):
        matching_start(size.config(), np.zeros((100, 16), np.float32), seed=0)


def test_matching_start_is_the_same_for_the_same_seed():
    size = StudentSize(vocabulary=50, projections=8, hidden=32, intermediate=32, rotary_dims=4)
    table = np.ones((50, 8), np.float32)
    first, second, other = (matching_start(size.config(), table, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)

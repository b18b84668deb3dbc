"""A grown student scores like the smaller one, and its copies of units learn different things."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from beam_sts.models.bert_hash import BertHashForSequenceClassification
from beam_sts.training.growth import grown
from beam_sts.training.student import StudentSize

SMALL = StudentSize(vocabulary=60, projections=8, hidden=32, intermediate=48, rotary_dims=4)
LARGE = dataclasses.replace(SMALL, projections=12, hidden=64, intermediate=96, heads=4, layers=4)


def student(size: StudentSize = SMALL) -> BertHashForSequenceClassification:
    """A student with random weights, none of which is zero or one."""
    torch.manual_seed(3)
    model = BertHashForSequenceClassification(size.config())
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        model.bert.embeddings.word_embeddings.embeddings.weight[0] = 0
    return model.eval()


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    ids = torch.randint(5, 60, (7, 24))
    types, mask = torch.zeros_like(ids), torch.ones_like(ids)
    types[:, 11:] = 1
    ids[2:, 19:], mask[2:, 19:] = 0, 0
    return {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}


@pytest.mark.parametrize(
    "large",
    [
        LARGE,
        dataclasses.replace(SMALL, layers=3),
        dataclasses.replace(SMALL, projections=9),
        dataclasses.replace(SMALL, hidden=96, intermediate=144, heads=6),
    ],
    ids=["wider and deeper", "deeper", "a wider table", "three times as wide"],
)
def test_a_grown_student_has_the_logits_of_its_start(large):
    small = student()
    model = grown(small, large.config(), seed=1)
    assert model.training
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(**batch()).logits, small(**batch()).logits, atol=2e-5, rtol=0)


def test_new_weights_learn_and_copies_part():
    model = grown(student(), LARGE.config(), seed=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model(**batch()).logits.pow(2).sum().backward()
        optimizer.step()
    hidden = LARGE.hidden // 2
    for layer in model.bert.encoder.layer:
        for dense in (layer.attention.output.dense, layer.output.dense):
            assert dense.weight.any()
    first = model.bert.encoder.layer[0].attention.self.query.weight
    assert (first[:hidden] - first[hidden:]).abs().max() > 1e-4
    projection = model.bert.embeddings.word_embeddings.projections.weight
    new = projection.view(LARGE.hidden, LARGE.window, LARGE.projections)[:, :, SMALL.projections :]
    assert new.any()
    assert not model.bert.embeddings.word_embeddings.embeddings.weight[0].any()


def test_growth_depends_on_the_seed_alone():
    one, same, other = (grown(student(), LARGE.config(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden": 48}, "hidden_size is 48, not 1 times 32"),
        ({"heads": 2}, "num_attention_heads is 2, not 2 times 2"),
        ({"vocabulary": 70}, "vocab_size is 70, but the start has 60"),
        ({"rotary_dims": 6}, "rotary_dims is 6, but the start has 4"),
        ({"layers": 1}, "num_hidden_layers is 1, but the start has 2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, said):
    large = dataclasses.replace(LARGE, **change)
    with pytest.raises(ValueError, match=said):
        grown(student(), large.config(), seed=1)

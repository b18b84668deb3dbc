"""The files of sentence-transformers in a checkpoint are used as by the reference."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoTokenizer, BertModel, Gemma3ForCausalLM

from beam_sts import PairScorer, UserError
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.models.heads import _pooling_mode
from beam_sts.models.stack import HeadModule
from tests.architectures import SIZES, bert, gemma3_config, sentencepiece_like
from tests.checkpoints import SENTENCES

PAIRS = [(a, b) for a in SENTENCES[:5] for b in SENTENCES[2:]] + [("", ""), ("a man", "a guitar " * 80)]
SIGMOID = "torch.nn.modules.activation.Sigmoid"
IDENTITY = "torch.nn.modules.linear.Identity"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return bert(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def stacked(plain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacked")
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture
def copy(stacked, tmp_path):
    return shutil.copytree(stacked, tmp_path / "copy")


def _change(file, **changes):
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def _assert_agrees(folder, atol=2e-6):
    expected = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": torch.float32}).predict(PAIRS)
    assert expected.std() > 0.05
    scores = PairScorer(folder, threads=1, backend="native").score(PAIRS)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=atol)
    return scores


def test_both_forms_give_the_same_scores(plain, stacked):
    assert (stacked / "modules.json").is_file()
    assert PairScorer(stacked).score(PAIRS).tobytes() == PairScorer(plain).score(PAIRS).tobytes()


# Where an entry is: config_sentence_transformers.json, or config.json in the new or the old form.
@pytest.mark.parametrize(
    ("stack_entry", "new_entry", "old_entry", "activated"),
    [
        (None, None, None, True),
        (IDENTITY, None, None, False),
        (SIGMOID, IDENTITY, IDENTITY, True),
        (None, IDENTITY, None, False),
        (None, SIGMOID, IDENTITY, True),
        (None, None, IDENTITY, False),
    ],
)
def test_activation_entries_are_read_in_the_references_order(
    copy, stack_entry, new_entry, old_entry, activated
):
    _change(copy / "config_sentence_transformers.json", activation_fn=stack_entry)
    new = {"activation_fn": new_entry} if new_entry else None
    _change(copy / "config.json", sentence_transformers=new, sbert_ce_default_activation_function=old_entry)
    scores = _assert_agrees(copy, atol=1e-5)
    assert (scores.min() >= 0 and scores.max() <= 1) == activated


def test_the_stacks_file_means_nothing_without_a_stack(copy):
    _change(copy / "config_sentence_transformers.json", activation_fn=IDENTITY)
    (copy / "modules.json").unlink()
    assert _assert_agrees(copy).max() <= 1


def test_another_model_types_stack_is_read_as_a_plain_checkpoint(copy):
    _change(
        copy / "config_sentence_transformers.json", model_type="SentenceTransformer", activation_fn=IDENTITY
    )
    assert _assert_agrees(copy).max() <= 1


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_default_prompt_comes_before_the_first_text_only(copy, stacked, symmetric):
    _change(
        copy / "config_sentence_transformers.json",
        prompts={"sts": "compare the fox: ", "other": "no"},
        default_prompt_name="sts",
    )
    reference = CrossEncoder(str(copy), device="cpu")
    expected = reference.predict(PAIRS)
    if symmetric:
        expected = (expected + reference.predict([(b, a) for a, b in PAIRS])) / 2
    scores = PairScorer(copy, threads=1, backend="native").score(PAIRS, symmetric=symmetric)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=2e-6)
    assert np.abs(scores - PairScorer(stacked).score(PAIRS, symmetric=symmetric)).max() > 0.01


def test_prompts_without_a_default_change_nothing(copy, stacked):
    _change(copy / "config_sentence_transformers.json", prompts={"sts": "compare: "})
    assert PairScorer(copy).score(PAIRS).tobytes() == PairScorer(stacked).score(PAIRS).tobytes()


def test_an_unknown_default_prompt_is_named(copy):
    _change(copy / "config_sentence_transformers.json", default_prompt_name="sts")
    with pytest.raises(UserError, match="'sts' is not among its prompts"):
        load_checkpoint(copy)


def test_bfloat16_weights_are_computed_in_float32(copy):
    weights = {name: w.bfloat16() for name, w in load_file(copy / "model.safetensors").items()}
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    _change(copy / "config.json", dtype="bfloat16")
    _assert_agrees(copy)
    assert next(load_checkpoint(copy).model().parameters()).dtype is torch.float32


def test_an_old_position_ids_buffer_is_ignored(copy, stacked):
    weights = load_file(copy / "model.safetensors")
    weights["bert.embeddings.position_ids"] = torch.arange(64)[None]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    assert PairScorer(copy).score(PAIRS).tobytes() == PairScorer(stacked).score(PAIRS).tobytes()


def test_a_limit_in_the_stacks_settings_is_followed(copy):
    _change(copy / "sentence_bert_config.json", max_seq_length=20)
    assert load_checkpoint(copy).max_length == 20
    _assert_agrees(copy)


def test_a_stack_that_lower_cases_does(copy, stacked, tmp_path):
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    _change(copy / "tokenizer_config.json", do_lower_case=False)
    _change(copy / "sentence_bert_config.json", do_lower_case=True)
    _assert_agrees(copy)


def test_a_checkpoint_without_any_limit_takes_texts_whole(tmp_path):
    from tests.architectures import neobert

    folder = neobert(tmp_path)
    _change(folder / "config.json", max_length=100_000)
    _change(folder / "tokenizer_config.json", model_max_length=None)
    pairs = [("a man plays", "guitar " * 700), ("fox", "dog")]
    expected = CrossEncoder(str(folder), device="cpu").predict(pairs)
    result = PairScorer(folder, threads=1).run(*zip(*pairs, strict=True))
    np.testing.assert_allclose(result.scores, expected, rtol=0, atol=2e-6)
    assert result.stats.truncated == 0


def _random(model, seed=0):
    """Set weights so that hidden states depend on the texts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 1.2 / parameter.shape[1] ** 0.5, generator=generator)
    return model


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    """A plain language model, of which the reference compares yes and no."""
    folder = tmp_path_factory.mktemp("causal")
    tokenizer = sentencepiece_like("right")
    tokenizer.add_tokens(["yes", "no"])
    config = gemma3_config(tokenizer, bidirectional=False)
    _random(Gemma3ForCausalLM(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_language_model_is_asked_for_yes_or_no(causal, tmp_path):
    _assert_agrees(causal)
    reference = CrossEncoder(str(causal), device="cpu")
    assert [type(module) for module in reference] == [Transformer, LogitScore]
    reference.save_pretrained(str(tmp_path))
    _assert_agrees(tmp_path)
    assert PairScorer(tmp_path).score(PAIRS).tobytes() == PairScorer(causal).score(PAIRS).tobytes()


def test_a_language_model_without_yes_and_no_is_refused(tmp_path):
    tokenizer = sentencepiece_like("left")
    config = gemma3_config(tokenizer, bidirectional=False)
    Gemma3ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="tokens yes and no"):
        load_checkpoint(tmp_path)


def test_a_chat_template_is_refused(causal, tmp_path):
    folder = shutil.copytree(causal, tmp_path / "copy")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(UserError, match="chat template"):
        load_checkpoint(folder)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_an_encoder_with_pooling_and_dense_layers_agrees(plain, tmp_path, pooling):
    encoder = tmp_path / "encoder"
    config = load_checkpoint(plain).config
    _random(BertModel(config, add_pooling_layer=False)).save_pretrained(encoder)
    AutoTokenizer.from_pretrained(plain).save_pretrained(encoder)
    torch.manual_seed(1)
    width = SIZES["hidden_size"]
    modules = [
        Transformer(str(encoder)),
        Pooling(width, pooling_mode=pooling),
        Dense(width, 16),
        Dense(16, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    reference = CrossEncoder(modules=modules, device="cpu")
    logits = reference.predict(PAIRS, activation_fn=torch.nn.Identity())
    head = modules[3].linear
    with torch.no_grad():  # scores that cover 0 to 1
        head.weight.mul_(1.5 / logits.std())
        head.bias.copy_((head.bias - logits.mean().item()) * (1.5 / logits.std()))
    reference.save_pretrained(str(tmp_path / "saved"))
    _assert_agrees(tmp_path / "saved")


def test_a_module_that_is_not_supported_is_named(copy):
    modules = json.loads((copy / "modules.json").read_text())
    modules.append({"idx": 1, "name": "1", "path": "1_Router", "type": "somewhere.Router"})
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="Router"):
        PairScorer(copy)


def test_a_module_path_out_of_the_folder_is_refused(copy):
    modules = json.loads((copy / "modules.json").read_text())
    modules[0]["path"] = "../elsewhere"
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="leaves the checkpoint folder"):
        load_checkpoint(copy)


@pytest.mark.parametrize("mode", [True, 5, {"cls": 1}, [["cls"]], [5], "cls,mean"])
def test_a_pooling_mode_that_is_no_name_is_refused(tmp_path, mode):
    head = HeadModule("Pooling", {"pooling_mode": mode}, tmp_path)
    with pytest.raises(UserError, match="is not one of cls, mean"):
        _pooling_mode(head)

"""BERT's tokenizer read without transformers has the ids, types and settings of transformers' tokenizer."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer

from beam_sts import PairScorer, UserError
from beam_sts.models import tokenizer as read
from beam_sts.models.registry import EMBEDDED
from beam_sts.scoring.tokens import PairTokenizer
from beam_sts.training.vocabulary import with_nfkc
from tests.checkpoints import SENTENCES, bert_hash
from tests.nasty_texts import nasty_texts

PUBLISHED = {
    "added_tokens_decoder": {
        str(number): {
            "content": token,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    },
    "additional_special_tokens": [],
    "never_split": None,
    "do_basic_tokenize": True,
}
TEXTS = [*SENTENCES, *nasty_texts(300), "", "[SEP]", "a [MASK] b[CLS]", "İstanbul ŒUVRE Ⅷ", "naïve\u0301"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return bert_hash(tmp_path_factory.mktemp("tiny") / "model")


def changed(folder, to, **settings):
    """A copy of a checkpoint with other settings of its tokenizer."""
    copy = shutil.copytree(folder, to)
    file = copy / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    return copy


def agree(folder, texts):
    ours = read.read_tokenizer(folder, 1 << 20)
    theirs = AutoTokenizer.from_pretrained(folder)
    pairs = [ours.backend.encode(*pair) for pair in zip(texts, reversed(texts), strict=True)]
    expected = theirs(texts, texts[::-1])
    assert [pair.ids for pair in pairs] == expected["input_ids"]
    types = [pair.type_ids for pair in pairs]
    assert types == expected.get("token_type_ids", types)
    assert ours.model_max_length == theirs.model_max_length
    assert (ours.pads_left, ours.truncates_left) == (
        theirs.padding_side == "left",
        theirs.truncation_side == "left",
    )
    assert ours.token_types == ("token_type_ids" in theirs.model_input_names)
    assert (ours.unknown_id, ours.pad_id) == (theirs.unk_token_id, theirs.pad_token_id)
    assert ours.backend.get_vocab() == theirs.get_vocab()


@pytest.mark.parametrize("name", ["beam-sts-nano", "beam-sts-pico"])
def test_the_embedded_tokenizers_are_those_of_transformers(name, monkeypatch):
    monkeypatch.setattr(read, "_by_transformers", None)
    agree(EMBEDDED / name, TEXTS)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        PUBLISHED,
        {"do_lower_case": False},
        {"strip_accents": False},
        {"strip_accents": True, "do_lower_case": False},
        {"tokenize_chinese_chars": False},
        {"tokenizer_class": "BertTokenizerFast"},
        {"tokenizer_class": "PreTrainedTokenizerFast"},
        {"tokenizer_class": "TokenizersBackend", "model_input_names": ["input_ids", "token_type_ids"]},
        {"tokenizer_class": "TokenizersBackend", "padding_side": "left", "do_lower_case": False},
        {"padding_side": "left", "truncation_side": "left"},
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"model_max_length": 77},
        {"cls_token": "[MASK]", "mask_token": "[CLS]"},
        {"cls_token": {"__type": "AddedToken", "content": "[CLS]", "normalized": False}},
    ],
    ids=str,
)
def test_each_setting_means_what_it_means_to_transformers(tiny, tmp_path, settings, monkeypatch):
    folder = changed(tiny, tmp_path / "copy", **settings)
    monkeypatch.setattr(read, "_by_transformers", None)
    agree(folder, TEXTS)


@pytest.fixture(scope="module")
def both(tiny):
    """Tokenizers of this project and of transformers: of BERT's class, and of the general one with NFKC."""
    folders = (tiny, EMBEDDED / "beam-sts-nano")
    return [(read.read_tokenizer(one, 8192), AutoTokenizer.from_pretrained(one)) for one in folders]


@given(text=st.text(max_size=200))
def test_any_text_has_the_same_ids(both, text):
    for ours, theirs in both:
        expected = theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.backend.encode(text, add_special_tokens=False).ids == expected
        assert PairTokenizer(ours.backend, 8192).encode([text]).ids.tolist() == expected


def test_a_checkpoint_gets_nfkc(tiny, tmp_path, monkeypatch):
    with_nfkc(tiny, tmp_path, 64)
    monkeypatch.setattr(read, "_by_transformers", None)
    agree(tmp_path, TEXTS)
    before, after = (
        PairTokenizer(read.read_tokenizer(folder, 1 << 20).backend, 64) for folder in (tiny, tmp_path)
    )
    assert after.encode(["two dogs"]).ids.tolist() == before.encode(["two dogs"]).ids.tolist()
    assert after.encode(["ｔｗｏ ｄｏｇｓ"]).ids.tolist() == before.encode(["two dogs"]).ids.tolist()


@pytest.mark.parametrize("name", ["beam-sts-nano", "beam-sts-pico"])
def test_the_embedded_models_read_letters_of_any_width(name):
    tokens = PairTokenizer(read.read_tokenizer(EMBEDDED / name, 1 << 20).backend, 8192)
    assert tokens._columns is not None, "the fast path"
    wide, plain = tokens.encode(["Ａ Ｓｍａｌｌ ﬁｓｈ, １２", "a small fish, 12"]).ids.reshape(2, -1)
    assert wide.tolist() == plain.tolist()
    pairs = [("A man is playing a guitar.", "Ａ ｍａｎ ｉｓ ｐｌａｙｉｎｇ ａ ｇｕｉｔａｒ．")]
    assert PairScorer(name).score(pairs) > 0.99
    np.testing.assert_allclose(
        CrossEncoder(str(EMBEDDED / name), device="cpu").predict(pairs),
        PairScorer(name).score(pairs),
        atol=2e-6,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"tokenizer_class": "PreTrainedTokenizerFast", "mask_token": None},
        {"extra_special_tokens": ["man"]},
        {"mask_token": "<mask>"},
        {"bos_token": "[CLS]"},
        {"cls_token": {"__type": "AddedToken", "content": "[CLS]", "lstrip": True}},
    ],
    ids=str,
)
def test_what_is_not_plainly_berts_is_left_to_transformers(tiny, tmp_path, settings, monkeypatch):
    folder = changed(tiny, tmp_path / "copy", **settings)
    agree(folder, TEXTS)
    monkeypatch.setattr("beam_sts.extras.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs torch and transformers: pip install 'beam_sts\[torch\]'"):
        read.read_tokenizer(folder, 1 << 20)


@pytest.mark.parametrize(
    "settings",
    [
        {"strip_accents": "x"},
        {"padding_side": "up"},
        {"do_lower_case": 7},
        {"cls_token": {"content": "[CLS]"}},
    ],
    ids=str,
)
def test_a_setting_of_another_kind_is_refused(tiny, tmp_path, settings):
    with pytest.raises(UserError, match="no tokenizer can be loaded"):
        read.read_tokenizer(changed(tiny, tmp_path / "copy", **settings), 1 << 20)

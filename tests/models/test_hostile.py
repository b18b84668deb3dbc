"""Checkpoints with wrong files: one error that names the fault, for every backend.

Each is loaded in a separate process (``tests/isolated.py``), so that a crash is a failed test.
"""

import base64
import json
import os
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from beam_sts.models.bert_hash import BertHashForSequenceClassification
from beam_sts.models.configs import BertHashConfig
from beam_sts.models.registry import EMBEDDED
from beam_sts.models.tensors import bert_hash_shapes
from tests import architectures
from tests.isolated import Isolated

TABLE = "bert.embeddings.word_embeddings.embeddings.weight"


@pytest.fixture(scope="module")
def isolated():
    process = Isolated(seconds=60)
    yield process
    process.close()


@pytest.fixture
def nano(tmp_path):
    return shutil.copytree(EMBEDDED / "beam-sts-nano", tmp_path / "nano")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A checkpoint of each other architecture, created at its first use."""
    root, made = tmp_path_factory.mktemp("others"), {}

    def of(name):
        if name not in made:
            made[name] = architectures.BUILDERS[name](root / name)
        return made[name]

    return of


def _edit(file, change):
    content = json.loads(file.read_text())
    content = change(content) or content
    file.write_text(json.dumps(content))


def _config(folder, **values):
    _edit(folder / "config.json", lambda config: config.update(values))


def _weights(folder, change):
    weights = {name: tensor.clone() for name, tensor in load_file(folder / "model.safetensors").items()}
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _refused(isolated, folder, *told, **settings):
    kind, detail = isolated.outcome(folder, **settings)
    assert kind == "UserError", detail
    for part in told:
        assert part in detail


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rotary_dims": 4096}, "rotary_dims 4096"),
        ({"rotary_dims": 3}, "rotary_dims 3"),
        ({"rotary_dims": -2}, "rotary_dims -2"),
        ({"rotary_dims": 64, "segment_dims": 64}, "segment_dims 64"),
        ({"segment_dims": 4096}, "segment_dims 4096"),
        ({"segment_dims": True}, "segment_dims True"),
        ({"rotary_dims": "16"}, "rotary_dims '16'"),
        ({"rotary_dims": 16.0}, "rotary_dims 16.0"),
        ({"num_attention_heads": 3}, "num_attention_heads 3"),
        ({"num_attention_heads": 0}, "num_attention_heads 0"),
        ({"num_hidden_layers": 10**7}, "num_hidden_layers 10000000"),
        ({"num_hidden_layers": None}, "num_hidden_layers None"),
        ({"hidden_size": 10**9}, "hidden_size 1000000000"),
        ({"intermediate_size": [512]}, "intermediate_size [512]"),
        ({"vocab_size": 10**12}, "vocab_size 1000000000000"),
        ({"projections": -64}, "projections -64"),
        ({"window": 2}, "window must be odd"),
        ({"window": 10**9 + 1}, "window 1000000001"),
        ({"max_position_embeddings": 10**9}, "max_position_embeddings 1000000000"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps nan"),
        ({"layer_norm_eps": float("inf")}, "layer_norm_eps inf"),
        ({"layer_norm_eps": "x"}, "layer_norm_eps 'x'"),
        ({"layer_norm_eps": -1e-12}, "layer_norm_eps -1e-12"),
        ({"layer_norm_eps": 0}, "layer_norm_eps 0"),
        ({"layer_norm_eps": 1}, "layer_norm_eps 1"),
        ({"hidden_act": "eval"}, "no model can be built from config.json: 'eval'"),
        ({"sharp_length": 1}, "sharp_length 1"),
        ({"rotary_base": 0}, "rotary_base 0"),
        ({"pad_token_id": -1}, "pad_token_id -1"),
        ({"pad_token_id": 10**9}, "pad_token_id 1000000000"),
        ({"num_labels": 10**9}, "num_labels 1000000000"),
        ({"model_type": ["x"]}, "model_type ['x']"),
        ({"architectures": 5}, "architectures 5"),
        ({"quantization_config": {"quant_method": "x"}}, "quantization_config"),
        ({"attn_implementation": "owner/kernel"}, "attn_implementation 'owner/kernel'"),
    ],
    ids=str,
)
def test_a_value_of_the_config_out_of_its_bounds_is_named(isolated, nano, values, told):
    _config(nano, **values)
    _refused(isolated, nano, "config.json", told)


def _drop(name):
    return lambda weights: weights.pop(name)


def _put(name, change):
    return lambda weights: weights.update({name: change(weights.get(name))})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_drop("bert.pooler.dense.bias"), ["1 missing keys", "bert.pooler.dense.bias"]),
        (_put("bert.extra.weight", lambda _: torch.ones(3)), ["1 unexpected keys", "bert.extra.weight"]),
        (
            _put("bert.embeddings.LayerNorm.weight", lambda w: w[:8]),
            ["bert.embeddings.LayerNorm.weight", "[8]", "[128]"],
        ),
        (
            _put("bert.encoder.layer.0.output.dense.bias", lambda w: w[:1]),
            ["output.dense.bias", "[1]", "[128]"],
        ),
        (_put(TABLE, lambda w: w[:100]), [TABLE, "[100, 64]", "[8192, 64]"]),
        (_put("classifier.weight", lambda w: w.T), ["classifier.weight", "[128, 1]", "[1, 128]"]),
        (_put("classifier.bias", lambda w: w * torch.nan), ["classifier.bias", "not finite"]),
        (_put("classifier.bias", lambda w: w.double() + 1e300), ["classifier.bias", "not finite"]),
        (_put("classifier.bias", lambda w: w.long()), ["classifier.bias", "int64"]),
        (_put("classifier.bias", lambda w: w.bool()), ["classifier.bias", "bool"]),
    ],
)
def test_a_tensor_that_is_not_the_configs_is_named(isolated, nano, change, told):
    _weights(nano, change)
    _refused(isolated, nano, *told)


def test_fewer_layers_than_the_weights_have_are_refused(isolated, nano):
    _config(nano, num_hidden_layers=1)
    _refused(isolated, nano, "16 unexpected keys", "bert.encoder.layer.1.")


def test_every_backend_refuses_the_same(isolated, nano):
    _weights(nano, _put("bert.encoder.layer.0.output.LayerNorm.weight", lambda w: w[:8]))
    for backend in ("native", "torch", "onnx", "openvino"):
        _refused(isolated, nano, "layer.0.output.LayerNorm.weight", "[8]", "[128]", backend=backend)


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert-mean", "gemma3-causal-right", "neobert"])
def test_other_architectures_are_held_to_the_same(isolated, others, tmp_path, name):
    def copy(number):
        return shutil.copytree(others(name), tmp_path / str(number))

    with_tensors = load_file(others(name) / "model.safetensors")
    matrix = next(key for key, tensor in with_tensors.items() if ".1." in key and tensor.ndim == 2)
    shape = list(with_tensors[matrix].shape)
    for number, (change, told) in enumerate(
        [
            (_drop(matrix), ["missing keys", matrix]),
            (_put("evil.weight", lambda _: torch.ones(3)), ["unexpected keys", "evil.weight"]),
            (_put(matrix, lambda w: w[:4]), [matrix, f"[4, {shape[1]}]", str(shape)]),
            (_put(matrix, lambda w: w * torch.inf), [matrix, "not finite"]),
            (_put(matrix, lambda w: w.int()), [matrix, "int32"]),
        ]
    ):
        folder = copy(number)
        _weights(folder, change)
        _refused(isolated, folder, *told, backend="native")
    for number, (key, value) in enumerate(
        [
            ("num_hidden_layers", 1),
            ("vocab_size", 10**9),
            ("hidden_size", True),
            ("intermediate_size", 1 << 18),
        ],
        9,
    ):
        folder = copy(number)
        _config(folder, **{key: value})
        _refused(isolated, folder, backend="native")


def _token(change):
    return lambda content: change(content["model"]["vocab"], content)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda vocab, _: vocab.update(a=2**31 - 1), "'a' has the id 2147483647"),
        (lambda vocab, _: vocab.update(a=8192), "'a' has the id 8192"),
        (lambda vocab, _: vocab.update(a=-5), "'a' has the id -5"),
        (lambda vocab, _: vocab.update(a="7"), "'a' has the id '7'"),
        (lambda vocab, content: content["added_tokens"][0].update(id=4_000_000_000), "has the id 4000000000"),
        (lambda _, content: content["model"].update(vocab=None), "has no vocabulary"),
    ],
)
def test_a_token_without_a_row_in_the_table_is_named(isolated, nano, change, told):
    _edit(nano / "tokenizer.json", _token(change))
    _refused(isolated, nano, "tokenizer.json", told)


def _by_transformers(folder):
    """Let transformers load the tokenizer, which then uses all of tokenizer.json."""
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    _edit(folder / "tokenizer_config.json", lambda content: content.update(settings))


def _replace(content, **pattern):
    return {"type": "Replace", "pattern": pattern, "content": content}


def _template(pair, ids=(2,)):
    special = {"[CLS]": {"id": "[CLS]", "ids": list(ids), "tokens": ["[CLS]"] * len(ids)}}
    return {"type": "TemplateProcessing", "single": pair[:2], "pair": pair, "special_tokens": special}


FIRST = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
A, B = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
CHARSMAP = base64.b64encode(bytes(4) + b"x" * 300 + b"\0").decode()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"normalizer": _replace("a" * 10**6, String="a")}, "1,000,000 times as long"),
        ({"normalizer": _replace("a" * 10**6, Regex="")}, "1,000,001 times as long"),
        ({"normalizer": {"type": "Sequence", "normalizers": [_replace("aa", String="a")] * 20}}, "times"),
        ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": CHARSMAP}}, "300 times as long"),
        ({"normalizer": {"type": "Prepend", "prepend": "a" * 10**7}}, "10,000,000 characters before"),
        ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}] * 100}}, "has 101 steps"),
        ({"post_processor": _template([FIRST, *[A] * 600, B])}, "601 texts"),
        ({"post_processor": _template([FIRST] * 600 + [A, B])}, "600 special tokens"),
        ({"post_processor": _template([FIRST, A, B], [2] * 10**6)}, "1,000,000 special tokens"),
        ({"model": {"type": "BPE", "dropout": 0.5, "vocab": {"[CLS]": 2}, "merges": []}}, "dropout 0.5"),
    ],
    ids=str,
)
def test_what_a_tokenizer_makes_of_a_text_is_bounded(isolated, nano, values, told):
    _by_transformers(nano)
    _edit(nano / "tokenizer.json", lambda content: content.update(values))
    _refused(isolated, nano, "tokenizer.json", told)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("BertTokenizer", "none of vocab.txt, tokenizer.json exists"),
        ("PreTrainedTokenizerFast", "none of tokenizer.json, vocab*, *.model exists"),
    ],
)
@pytest.mark.parametrize("instead", ["nothing", "folder", "pipe", "device"])
def test_a_tokenizer_without_a_vocabulary_is_refused(isolated, nano, instead, name, told):
    """transformers would make a tokenizer to which every word is unknown."""
    _edit(nano / "tokenizer_config.json", lambda content: content.update(tokenizer_class=name))
    file = nano / "tokenizer.json"
    file.unlink()
    makers = {"folder": file.mkdir, "pipe": lambda: os.mkfifo(file)}
    makers.get(instead, lambda: instead == "nothing" or file.symlink_to("/dev/zero"))()
    _refused(isolated, nano, told)


@pytest.mark.parametrize("token", ["[CLS]", "[SEP]", "[PAD]"])
def test_a_missing_special_token_is_named(isolated, nano, token):
    def drop(content):
        content["model"]["vocab"]["zzzz"] = content["model"]["vocab"].pop(token)
        content["added_tokens"] = [t for t in content["added_tokens"] if t["content"] != token]

    _edit(nano / "tokenizer.json", drop)
    _refused(isolated, nano, token)


def test_special_tokens_that_the_model_has_no_rows_for_are_refused(isolated, others, tmp_path):
    folder = shutil.copytree(others("modernbert-mean"), tmp_path / "copy")
    _edit(folder / "tokenizer.json", lambda content: content["post_processor"].update(cls=["[CLS]", 10**6]))
    _refused(isolated, folder, "1000000", backend="native")


def test_a_token_type_that_the_model_has_no_row_for_is_refused(isolated, others, tmp_path):
    folder = shutil.copytree(others("roberta"), tmp_path / "copy")
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "</s>", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 5}},
        ],
        "special_tokens": {
            token: {"id": token, "ids": [number], "tokens": [token]}
            for number, token in ((0, "<s>"), (2, "</s>"))
        },
    }
    _edit(folder / "tokenizer.json", lambda content: content.update(post_processor=template))
    names = ["input_ids", "token_type_ids", "attention_mask"]
    _edit(
        folder / "tokenizer_config.json",
        lambda c: c.update(model_input_names=names, tokenizer_class="TokenizersBackend"),
    )
    _refused(isolated, folder, "token type", " 5 ", backend="native")


def _shards(folder, **extra):
    """A checkpoint's weights as two shards and their index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {}
    for number in (0, 1):
        some = {name: weights[name] for name in sorted(weights)[number::2]}
        save_file(some, folder / f"part-{number}.safetensors", {"format": "pt"})
        places |= dict.fromkeys(some, f"part-{number}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places | extra}))
    return places


def test_shards_are_taken_whole_or_not_at_all(isolated, nano):
    whole = isolated.outcome(nano)
    places = _shards(nano)
    assert isolated.outcome(nano) == whole
    index = nano / "model.safetensors.index.json"
    for change, told in (
        ({"classifier.bias": "../nano/part-0.safetensors"}, "not a weight file of the checkpoint folder"),
        ({"classifier.bias": "/etc/passwd"}, "not a weight file"),
        ({"classifier.bias": ".."}, "not a weight file"),
        ({"classifier.bias": 5}, "not a weight file"),
        ({"classifier.bias": "part-7.safetensors"}, "part-7.safetensors is missing"),
        ({"more.weight": "part-1.safetensors"}, "lacks the tensor more.weight"),
        ({"classifier.bias": "part-0.safetensors"}, "classifier.bias"),
    ):
        index.write_text(json.dumps({"weight_map": places | change}))
        _refused(isolated, nano, told)
    index.write_text(json.dumps({"weight_map": {n: p for n, p in places.items() if n != "classifier.bias"}}))
    _refused(isolated, nano, "has the tensor classifier.bias", "places in nowhere")
    index.write_text("[]")
    _refused(isolated, nano, "not an object")


def test_bombs_are_refused_before_they_are_read(isolated, nano):
    for name, size in (("tokenizer.json", 1_000_000_000), ("config.json", 100_000_000)):
        file = nano / name
        saved = file.read_bytes()
        with file.open("r+b") as stream:
            stream.truncate(size)  # a sparse file: it takes no disk
        _refused(isolated, nano, name, f"{size:,} bytes, but the limit is")
        file.write_bytes(saved)
    for content in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100 + "1" + "}" * 100):
        config = (nano / "config.json").read_text()
        (nano / "config.json").write_text(content)
        _refused(isolated, nano, "config.json")
        (nano / "config.json").write_text(config)
    weights = (nano / "model.safetensors").read_bytes()
    for length in (2**63, 2**64 - 1, 2**40, len(weights), 0):
        (nano / "model.safetensors").write_bytes(struct.pack("<Q", length) + weights[8:])
        _refused(isolated, nano, "model.safetensors: not a complete safetensors file")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("modules.json", lambda c: [5], "not a list of modules"),
        ("modules.json", lambda c: {"a": 1}, "not a list of modules"),
        ("modules.json", lambda c: [c[0] | {"path": "missing"}], "not a folder of the checkpoint"),
        ("modules.json", lambda c: [c[0] | {"path": "/etc"}], "leaves the checkpoint folder"),
        ("config_sentence_transformers.json", lambda c: [c], "not an object"),
        (
            "config_sentence_transformers.json",
            lambda c: c | {"default_prompt_name": ["a"]},
            "default_prompt_name",
        ),
        ("config_sentence_transformers.json", lambda c: c | {"activation_fn": {"a": 1}}, "activation"),
        ("sentence_bert_config.json", lambda c: c | {"max_seq_length": -5}, "max_seq_length -5"),
        ("sentence_bert_config.json", lambda c: c | {"max_seq_length": "7"}, "max_seq_length '7'"),
        ("sentence_bert_config.json", lambda c: c | {"max_seq_length": 3}, "takes 3 tokens"),
        ("tokenizer_config.json", lambda c: c | {"model_max_length": -1}, "limit of tokens -1"),
        ("tokenizer_config.json", lambda c: c | {"model_max_length": "x"}, "limit of tokens 'x'"),
    ],
)
def test_the_files_of_a_stack_are_held_to_the_same(isolated, stack, tmp_path, name, change, told):
    folder = shutil.copytree(stack, tmp_path / "copy")
    _edit(folder / name, change)
    _refused(isolated, folder, told, backend="native")


@pytest.fixture(scope="module")
def stack(others, tmp_path_factory):
    from sentence_transformers import CrossEncoder

    folder = tmp_path_factory.mktemp("stack")
    CrossEncoder(str(others("bert")), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rotary_dims": 4},
        {"rotary_dims": 4, "segment_dims": 2, "window": 5},
        {"num_hidden_layers": 3, "type_vocab_size": 4, "window": 3},
    ],
    ids=str,
)
def test_the_shapes_known_without_the_model_class_are_the_classs(changes):
    sizes = {
        "projections": 6,
        "hidden_size": 24,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "num_labels": 1,
    }
    config = BertHashConfig(**sizes | changes)
    with torch.device("meta"):
        model = BertHashForSequenceClassification(config)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert bert_hash_shapes(config) == expected


def test_weights_at_odd_addresses_score_as_they_are(isolated, nano):
    whole = isolated.outcome(nano)
    file = nano / "model.safetensors"
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    for more in (1, 2, 3):  # spaces after the header shift the numbers
        header = data[8 : 8 + length] + b" " * more
        file.write_bytes(struct.pack("<Q", length + more) + header + data[8 + length :])
        assert isolated.outcome(nano) == whole

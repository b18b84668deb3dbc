"""Tiny random checkpoints of every supported architecture, built offline in seconds.

Their scores cover 0 to 1 and depend on the texts, because parity of models that always give 0.48 proves
nothing.
"""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    Gemma3TextConfig,
    Gemma3TextForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from beam_sts.models.neobert import NeoBertConfig, NeoBertForSequenceClassification
from tests.checkpoints import SENTENCES, wordpiece

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
# Pairs on which a head is scaled; both texts of a pair have a large effect.
SAMPLE = [(a, b) for a in SENTENCES for b in SENTENCES]


def byte_level(*, roberta: bool, add_prefix_space: bool = False) -> PreTrainedTokenizerFast:
    """Byte-level BPE with ``<s>a</s></s>b</s>`` like RoBERTa, or ``[CLS]a[SEP]b[SEP]`` like ModernBERT."""
    cls, sep, pad = ("<s>", "</s>", "<pad>") if roberta else ("[CLS]", "[SEP]", "[PAD]")
    mask = "<mask>" if roberta else "[MASK]"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = None if roberta else normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=[cls, pad, sep, mask],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    ends = [(sep, tokenizer.token_to_id(sep)), (cls, tokenizer.token_to_id(cls))]
    make = processors.RobertaProcessing if roberta else processors.BertProcessing
    tokenizer.post_processor = (
        make(*ends, trim_offsets=True, add_prefix_space=add_prefix_space) if roberta else make(*ends)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token=cls,
        sep_token=sep,
        pad_token=pad,
        mask_token=mask,
        model_input_names=["input_ids", "attention_mask"],
    )


def sentencepiece_like(padding_side: str, **settings) -> PreTrainedTokenizerFast:
    """BPE over space marks with byte fallback and ``<bos>a<bos>b``, like Gemma's."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    # Trained word by word, because the splitter above has no spaces to split at.
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>", *bytes_], show_progress=False
    )
    trained.train_from_iterator(SENTENCES, trainer)
    spec = json.loads(trained.to_str())["model"]
    merges = [tuple(merge) for merge in spec["merges"]]
    tokenizer.model = models.BPE(spec["vocab"], merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    tokenizer.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>"])
    bos = tokenizer.token_to_id("<bos>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", bos)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        padding_side=padding_side,
        model_input_names=["input_ids", "attention_mask"],
        **settings,
    )


def bert_tokenizer(**settings) -> BertTokenizerFast:
    """Uncased WordPiece."""
    return BertTokenizerFast(tokenizer_object=wordpiece(), **settings)


def spread(model, tokenizer, seed: int = 3, batch: int = 7):
    """Set a model's weights so that its logits depend on the texts, with mean near 0 and deviation 1.5."""
    generator = torch.Generator().manual_seed(seed)
    model.eval()
    head = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                table = "embed" in name or name.endswith("encoder.weight")
                scale = 1.0 if table else 1.2 / parameter.shape[1] ** 0.5
                parameter.normal_(0, scale, generator=generator)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.1, generator=generator)
        logits = torch.cat([_logits(model, tokenizer, [pair]) for pair in SAMPLE])
        head.weight.mul_(1.5 / logits.std())
        if head.bias is not None:
            logits = torch.cat([_logits(model, tokenizer, [pair]) for pair in SAMPLE])
            head.bias.sub_(logits.mean())
    return model


def _logits(model, tokenizer, pairs):
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    return model(**tokenizer(first, second, return_tensors="pt", truncation=True, max_length=60)).logits[:, 0]


def save(folder: Path, model, tokenizer) -> Path:
    """A plain transformers checkpoint."""
    spread(model, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bert(folder: Path, **config) -> Path:
    """BERT of 64 positions; the tokenizer sets no limit."""
    sizes = {**SIZES, "vocab_size": 320, "max_position_embeddings": 64, "num_labels": 1}
    return save(folder, BertForSequenceClassification(BertConfig(**sizes | config)), bert_tokenizer())


def roberta(folder: Path, **config) -> Path:
    """RoBERTa of 66 positions, or 64 tokens, which is the tokenizer's limit as in published checkpoints."""
    config = RobertaConfig(
        **{**SIZES, "vocab_size": 400, "max_position_embeddings": 66, "num_labels": 1, "type_vocab_size": 1}
        | config
    )
    tokenizer = byte_level(roberta=True)
    tokenizer.model_max_length = 64
    return save(folder, RobertaForSequenceClassification(config), tokenizer)


def distilroberta(folder: Path) -> Path:
    """RoBERTa's architecture with fewer layers, and a tokenizer that puts a space first."""
    config = RobertaConfig(
        **{**SIZES, "num_hidden_layers": 2},
        vocab_size=400,
        max_position_embeddings=66,
        num_labels=1,
        type_vocab_size=1,
    )
    tokenizer = byte_level(roberta=True, add_prefix_space=True)
    tokenizer.model_max_length = 64
    return save(folder, RobertaForSequenceClassification(config), tokenizer)


def modernbert(folder: Path, pooling: str) -> Path:
    """ModernBERT of 256 tokens with local attention over 16."""
    tokenizer = byte_level(roberta=False)
    config = ModernBertConfig(
        **SIZES,
        vocab_size=400,
        max_position_embeddings=256,
        local_attention=16,
        global_attn_every_n_layers=2,
        classifier_pooling=pooling,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=None,
        eos_token_id=None,
    )
    return save(folder, ModernBertForSequenceClassification(config), tokenizer)


def gemma3_config(tokenizer, *, bidirectional: bool, **config) -> Gemma3TextConfig:
    """Gemma 3 text of 256 tokens with sliding windows of 16."""
    return Gemma3TextConfig(
        **{
            **SIZES,
            "vocab_size": 640,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "max_position_embeddings": 256,
            "sliding_window": 16,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "use_bidirectional_attention": bidirectional,
            "num_labels": 1,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
        }
        | config
    )


def gemma3(folder: Path, *, bidirectional: bool, padding_side: str) -> Path:
    """Gemma 3 text as a classifier."""
    tokenizer = sentencepiece_like(padding_side)
    config = gemma3_config(tokenizer, bidirectional=bidirectional)
    return save(folder, Gemma3TextForSequenceClassification(config), tokenizer)


def neobert(folder: Path) -> Path:
    """NeoBERT of 128 tokens, with the config of the published checkpoints, which name remote code."""
    config = NeoBertConfig(**{**SIZES, "vocab_size": 320, "max_length": 128, "num_labels": 1})
    tokenizer = bert_tokenizer(model_max_length=128, model_input_names=["input_ids", "attention_mask"])
    save(folder, NeoBertForSequenceClassification(config), tokenizer)
    file = folder / "config.json"
    published = {
        "architectures": ["NeoBERTForSequenceClassification"],
        "auto_map": {
            "AutoConfig": "chandar-lab/NeoBERT--model.NeoBERTConfig",
            "AutoModel": "chandar-lab/NeoBERT--model.NeoBERT",
            "AutoModelForSequenceClassification": (
                "chandar-lab/NeoBERT--model.NeoBERTForSequenceClassification"
            ),
        },
        "dim_head": 8,
        "kwargs": {"trust_remote_code": True, "classifier_init_range": 0.02},
        "pretrained_model_name_or_path": "google-bert/bert-base-uncased",
        "trust_remote_code": True,
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | published))
    return folder


def gemma3_both(padding_side: str):
    """Builders of models with the two kinds of attention."""
    return {
        f"gemma3-{kind}-{padding_side}": lambda folder, kind=kind: gemma3(
            folder, bidirectional=kind == "bidirectional", padding_side=padding_side
        )
        for kind in ("bidirectional", "causal")
    }


BUILDERS = {
    "bert": bert,
    "roberta": roberta,
    "distilroberta": distilroberta,
    "modernbert-cls": lambda folder: modernbert(folder, "cls"),
    "modernbert-mean": lambda folder: modernbert(folder, "mean"),
    **gemma3_both("left"),
    **gemma3_both("right"),
    "neobert": neobert,
}

"""The special tokens that a tokenizer puts around a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beam_sts.errors import UserError
from beam_sts.models.bounds import check_whole
from beam_sts.models.checkpoint import Checkpoint

# Encoders that were trained with a first token, which represents the pair, and one that separates its
# texts.
_READS_FIRST = {"bert", "bert_hash", "roberta", "xlm-roberta", "camembert", "modernbert", "neobert"}


_PROBES = (("a", "b"), ("b", "a a a"), ("", "a b"), ("b a", ""))


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens that a tokenizer puts around a pair, and the token type of each part.

    ``parts`` has the ids before the first text, between the texts and after the second; ``types`` has the
    token types of: before, first text, between, second text, after.
    """

    parts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    types: tuple[tuple[int, ...], int, tuple[int, ...], int, tuple[int, ...]]

    @property
    def special_tokens(self) -> int:
        """Count of the special tokens of a pair."""
        return sum(map(len, self.parts))

    def untyped(self) -> PairTemplate:
        """The same template for a model without token types, which are then all 0."""
        before, between, after = ((0,) * len(part) for part in self.parts)
        return PairTemplate(self.parts, (before, 0, between, 0, after))


def probe_template(tokenizer: Any) -> PairTemplate:
    """Find the pair template of a tokenizer by encoding probe pairs.

    Args:
        tokenizer: a ``tokenizers.Tokenizer``.

    Raises:
        ValueError: the tokenizer encodes pairs in a way that no template expresses.
    """
    pair = tokenizer.encode("a", "b")
    a, b = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a", "b"))
    ids, types = pair.ids, pair.type_ids
    for start_a in range(len(ids) - len(a) - len(b) + 1):
        for start_b in range(start_a + len(a), len(ids) - len(b) + 1):
            if ids[start_a : start_a + len(a)] != a or ids[start_b : start_b + len(b)] != b:
                continue
            end_a, end_b = start_a + len(a), start_b + len(b)
            template = PairTemplate(
                (tuple(ids[:start_a]), tuple(ids[end_a:start_b]), tuple(ids[end_b:])),
                (
                    tuple(types[:start_a]),
                    types[start_a] if a else 0,
                    tuple(types[end_a:start_b]),
                    types[start_b] if b else 0,
                    tuple(types[end_b:]),
                ),
            )
            if all(_assemble_one(tokenizer, template, *probe) for probe in _PROBES):
                return template
    raise ValueError("the tokenizer's pair encoding does not follow a template of special tokens")


def check_template(template: PairTemplate, max_length: int, checkpoint: Checkpoint) -> None:
    """Check that the model's tables have rows for the special tokens of a pair, and that texts have room.

    Args:
        template: the special tokens around a pair.
        max_length: the model's limit for a pair, in tokens.
        checkpoint: the checkpoint of the model.

    Raises:
        UserError: an id or token type is out of range, or no room is left; the message names the bound.
    """
    config, place = checkpoint.text_config, checkpoint.path
    before, between, after = template.parts
    if config.model_type in _READS_FIRST and not (before and between):
        raise UserError(
            f"{place}: the tokenizer puts no special token {'between' if before else 'before'} the texts of "
            f"a pair, which {config.model_type} needs. Use the tokenizer.json that the model was "
            "trained with."
        )
    for token in (*before, *between, *after):
        check_whole(place, "the id of a special token", token, 0, int(config.vocab_size) - 1)
    kinds = getattr(config, "type_vocab_size", None)
    if kinds and checkpoint.tokenizer.token_types:
        first, a, second, b, last = template.types
        for kind in (*first, a, *second, b, *last):
            check_whole(place, "the token type of a pair", kind, 0, kinds - 1)
    if max_length <= template.special_tokens:
        raise UserError(
            f"{place}: the model takes {max_length} tokens, which leaves no room for texts beside the "
            f"{template.special_tokens} special tokens of a pair. Use the config that the model was "
            "saved with."
        )


def _assemble_one(tokenizer: Any, template: PairTemplate, text_a: str, text_b: str) -> bool:
    expected = tokenizer.encode(text_a, text_b)
    a, b = (tokenizer.encode(text, add_special_tokens=False).ids for text in (text_a, text_b))
    before, between, after = template.parts
    types = [
        *template.types[0],
        *[template.types[1]] * len(a),
        *template.types[2],
        *[template.types[3]] * len(b),
        *template.types[4],
    ]
    return bool(expected.ids == [*before, *a, *between, *b, *after] and expected.type_ids == types)

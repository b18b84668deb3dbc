"""A run of ``beam-sts dedup``, with its inputs, models and settings checked before the long work."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

from beam_sts.candidates.given import plan_given
from beam_sts.candidates.keys import block_values
from beam_sts.candidates.propose import Proposal
from beam_sts.candidates.source import Source
from beam_sts.cli.describe import input_identity, model_names, versions_of
from beam_sts.cli.formats import format_settings, output_folder, read_options
from beam_sts.cli.scoring import trust
from beam_sts.dedup.keep import KeepPolicy
from beam_sts.dedup.receipts import FOLDERS, SliceWriter
from beam_sts.dedup.rule import TABLE
from beam_sts.dedup.runs import Run
from beam_sts.dedup.settings import DedupSettings
from beam_sts.errors import UserError
from beam_sts.io.committed import check_files, check_run
from beam_sts.io.encode import check_encodable
from beam_sts.io.files import check_apart
from beam_sts.io.fingerprint import NAMES
from beam_sts.io.names import renamed
from beam_sts.io.output import OutputFolder
from beam_sts.io.reading import plan_input
from beam_sts.models.checkpoint import Checkpoint, load_checkpoint

_SETTINGS = (
    *(
        "text",
        "id",
        "threshold",
        "keep_rows",
        "keep",
        "candidates",
        "minhash_similarity",
        "minhash_recall",
        "shingle",
    ),
    *("neighbours", "bucket_cap", "against_text", "against_id", "within", "symmetric", "long_text", "empty"),
    *("embedding", "against_embedding", "precision", "rows_per_shard", "cascade_band", "rule", "linkage"),
    *("model_share", "one_to_one", "guard", "max_lost", "form", "score_all", "boilerplate", "languages"),
    "profile",
)
_OF_SCORES = (
    *("rule", "model_share", "symmetric", "long_text", "precision", "cascade_band", "form"),
    *("boilerplate", "languages"),
)
"""Settings on which scores depend."""
_BEFORE = {
    **{"guard": "none", "max_lost": None, "form": "none", "score_all": True},
    **{"profile": "default", "boilerplate": "counted", "languages": "ignored"},
}
"""Values for runs by earlier versions, which did not have these settings."""


@dataclass(frozen=True)
class Earlier:
    """An earlier run whose pairs are reused.

    ``compared``: it compared facts with the same guard. ``completes``: it may lack results that are needed
    now.
    """

    pairs: str
    compared: bool
    completes: bool


@dataclass(frozen=True)
class DedupJob:
    """A run with checked inputs, models and settings."""

    settings: DedupSettings
    sources: list[Source]
    writer: SliceWriter
    proposal: Proposal
    checkpoint: Checkpoint
    cascade: Checkpoint | None
    fingerprint: dict[str, Any]
    earlier: Earlier | None

    def at(self, threshold: float) -> DedupJob:
        """The run at the threshold that keeps the required rows."""
        return replace(self, settings=replace(self.settings, threshold=threshold))

    @property
    def output(self) -> OutputFolder:
        """The output folder."""
        return self.writer.output

    @property
    def models(self) -> str:
        """The fingerprint of all models that score."""
        names = self.fingerprint["model"], self.fingerprint["cascade_model"]
        return "+".join(name for name in names if name)


def prepare(args: argparse.Namespace, settings: DedupSettings) -> DedupJob:
    """Check everything before the long work.

    Raises:
        UserError: something is wrong. The first problem is reported.
    """
    settings.check_inputs(lambda name: f"--{name}", against=bool(args.against))
    options = read_options(args)
    proposal, keep = settings.proposal(options), settings.policy.keep
    checkpoint = load_checkpoint(args.model, **trust(args))
    cascade = load_checkpoint(args.cascade_model, **trust(args)) if args.cascade_model else None
    plan = plan_input(args.input, args.rows_per_shard, options)
    check_apart(args.input, plan.files, args.output)
    sources = [Source(plan, options, args.text, args.id, args.empty == "reject", args.embedding)]
    sources[0].check("")
    keep.check(plan.schema)
    for expression in proposal.blocks:
        block_values(plan.schema.empty_table(), expression)
    if args.against:
        other = plan_input(args.against, args.rows_per_shard, options, "--against")
        check_files(other.files, f"--against {args.against}")
        text, name = args.against_text or args.text, args.against_id or args.id
        vector = args.against_embedding or args.embedding
        sources.append(Source(other, options, text, name, args.empty == "reject", vector))
        sources[1].check("against_")
        if sources[0].id_type != sources[1].id_type:
            raise UserError(
                f"--id {args.id}: holds {sources[0].id_type} in the input and {sources[1].id_type} in "
                f"--against {args.against}. Cast one of them."
            )
    givens = [plan_given(pattern, proposal.read) for pattern in proposal.pair_files]
    check_files(plan.files, f"--input {args.input}")
    output = output_folder(args, FOLDERS)
    check_encodable(plan.schema, args.output_format)
    writer = SliceWriter(output, sources[0], len(sources) > 1, args.report_examples, args.output_prefix)
    fingerprint = {
        "pipeline": "dedup",
        "input": input_identity(plan),
        "against": input_identity(sources[1].plan) if args.against else None,
        "pairs": [each for given in givens for each in input_identity(given)],
        "versions": versions_of(*_makers(proposal, keep)),
        "model": checkpoint.fingerprint,
        "cascade_model": cascade.fingerprint if cascade else None,
        **model_names(model=checkpoint, cascade_model=cascade),
        "from_pairs": None,
        "renamed_columns": renamed(writer.names),
        "settings": {**{name: _as_text(getattr(args, name)) for name in _SETTINGS}, **format_settings(args)},
    }
    earlier = None
    if args.from_pairs:
        earlier = _earlier(args.from_pairs, fingerprint, settings)
    return DedupJob(settings, sources, writer, proposal, checkpoint, cascade, fingerprint, earlier)


_MAKERS = {
    "minhash": ["rensa"],
    "lexical": ["scipy", "sparse-dot-topn"],
    "neighbours": ["scipy"],
    "block": ["duckdb"],
}


def _makers(proposal: Proposal, keep: KeepPolicy) -> list[str]:
    """The packages whose versions affect candidates and decisions."""
    names = {name for source in proposal.sources for name in _MAKERS.get(source.partition(":")[0], ())}
    return sorted({*names, "scipy", "py3langid", *(["duckdb"] if keep.name.startswith("highest:") else [])})


def _as_text(value: Any) -> Any:
    """The value of an option as it was given."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else value


def _earlier(folder: str, fingerprint: dict[str, Any], settings: DedupSettings) -> Earlier:
    """The earlier run whose pairs are reused. Its models are entered in the fingerprint."""
    run = Run.at(folder, "--from_pairs")
    check_run(run.output.root, "pairs", f"--from_pairs {folder}")
    before = run.fingerprint
    for key in ("input", "against"):
        if before[key] != fingerprint[key]:
            raise UserError(
                f"--from_pairs {folder}: has another --{key}, or the files have changed. Give the same "
                f"--{key}, or leave out --from_pairs to score again."
            )
    was, now = {**_BEFORE, **before["settings"]}, fingerprint["settings"]
    for key in ("text", "id", "empty", "against_text", "against_id", "within"):
        if was[key] != now[key]:
            raise UserError(f"--from_pairs {folder}: was made with --{key} {was[key]}, not {now[key]}.")
    if was["guard"] != "none" and "score_all" not in before["settings"]:
        raise UserError(
            f"--from_pairs {folder}: was made by a version that did not score pairs rejected by --guard. Run "
            "it again first."
        )
    if was["rule"] == "blend" and (was["guard"] == "facts") != (now["guard"] == "facts"):
        raise UserError(
            f"--from_pairs {folder}: was scored with --guard {was['guard']}, but --guard facts scores short "
            f"texts differently. Give --guard {was['guard']}, or leave out --from_pairs to score again."
        )
    compares = settings.guard != "none" or settings.max_lost is not None
    compared = was["guard"] == now["guard"] and (was["guard"] != "none" or was["max_lost"] is not None)
    every = bool(was["score_all"]) or was["linkage"] == "average"
    scored = min(float(was["threshold"]), *TABLE) if was["score_all"] else float(was["threshold"])
    needs_all = settings.linkage == "average" and not every
    # Pairs that the guard or --max_lost barred may have no score.
    bars_others = not every and (was["guard"], was["max_lost"]) != (now["guard"], now["max_lost"])
    completes = needs_all or bars_others or settings.least < scored or (compares and not compared)
    if completes:
        _check_scores(folder, before, fingerprint, was)
    fingerprint |= {
        "model": before["model"],
        "cascade_model": before["cascade_model"],
        NAMES: before.get(NAMES, {}),
        "from_pairs": {"folder": run.output.root, "settings": before["settings"]},
    }
    return Earlier(run.output.path("pairs"), compared, completes)


def _check_scores(
    folder: str, before: dict[str, Any], fingerprint: dict[str, Any], was: dict[str, Any]
) -> None:
    """Check that pairs that the earlier run did not score would be scored in the same way now."""
    now = fingerprint["settings"]
    wrong = [f"--{key} {was[key]}" for key in _OF_SCORES if was[key] != now[key]]
    models = ("model", "cascade_model")
    wrong += [f"another --{key}" for key in models if before[key] != fingerprint[key]]
    if wrong:
        raise UserError(
            f"--from_pairs {folder}: some pairs that it did not score are needed now, but it scored with "
            f"{', '.join(wrong)}. Give the same, or leave out --from_pairs."
        )

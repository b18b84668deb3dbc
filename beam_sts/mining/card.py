"""The data set card of a run: ``datasets.load_dataset(DIR, "triplet")`` reads a set by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beam_sts.mining.core import SPLITS, SUBSETS
from beam_sts.mining.forms import Form
from beam_sts.mining.shards import schemas
from beam_sts.plurals import plural

THIN = 100
"""A training set with fewer triplets than this is reported as small."""

_FIRST = "triplet"  # the set that load_dataset loads by default
_SAYS = {
    "raw": "every candidate pair",
    "pair-score": "every scored pair",
    "pair-score-hard": "pairs whose score and word overlap differ widely",
    "pair-score-sampled": "scored pairs, spread over the scores as evenly as possible",
    "triplet": "an anchor, a positive, negatives with low scores",
    "triplet-hard": "an anchor, a positive, negatives with high scores",
}


def data_set_card(summary: Mapping[str, Any], form: Form) -> str:
    """Write the text of ``README.md`` for the output folder.

    Args:
        summary: content of ``summary.json``.
        form: form of the triplet sets.

    Returns:
        The text, with the YAML header that the ``datasets`` library reads.
    """
    rows = summary["rows_written"]
    configs = []
    for subset in SUBSETS:
        # Splits without rows are left out: the datasets library cannot read a file without rows.
        filled = [split for split in SPLITS if rows[subset][split]]
        if filled:
            configs += [f"- config_name: {subset}", *(["  default: true"] if subset == _FIRST else [])]
            configs.append("  data_files:")
        for split in filled:
            configs += [f"  - split: {split}", f"    path: {subset}/{split}/*.parquet"]
    table = [
        f"| `{subset}` | {_SAYS[subset]} | {', '.join(schemas(form)[subset].names)} | "
        f"{rows[subset]['train']:,} | {rows[subset]['test']:,} |"
        for subset in SUBSETS
    ]
    model = summary["model"]["name"]
    lines = [
        "---",
        "task_categories:",
        "- sentence-similarity",
        "tags:",
        "- sentence-transformers",
        "configs:",
        *configs,
        "---",
        "",
        "# Mined training pairs",
        "",
        f"Pairs of {summary['texts']:,} texts, scored by `{model}`, mined by beam_sts "
        f"{summary['versions']['beam_sts']}.",
        "No query is in both splits." if summary["queries"] else "No text is in both splits.",
        "",
        "| set | rows | columns | train | test |",
        "|---|---|---|---|---|",
        *table,
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'triplets = load_dataset("path/to/this/folder", "{_FIRST}")',
        "```",
    ]
    return "\n".join(lines) + "\n"


def thin_sets(
    rows: Mapping[str, Mapping[str, int]], least: int, *, tuples: bool = False, differing: int = 0
) -> list[str]:
    """Report the triplet sets with few rows, and the settings to change.

    Args:
        rows: number of rows by set and split.
        least: a train split with fewer rows than this is reported.
        tuples: whether a row needs all of its negatives.
        differing: number of pairs that score as positives but differ in a fact.

    Returns:
        One message for each such set.

    >>> few = {"triplet": {"train": 7, "test": 0}, "triplet-hard": {"train": 900, "test": 90}}
    >>> for line in thin_sets(few, 100):
    ...     print(line)
    triplet/train has 7 rows; lower --positive or give --positive_share, raise --neighbours or --num_negatives
    triplet/test is empty: raise --test_share, or give another --seed
    """
    found = []
    for subset in ("triplet", "triplet-hard"):
        train, test = rows[subset]["train"], rows[subset]["test"]
        if train < least:
            found.append(
                f"{subset}/train has {plural(train, 'row')}; lower --positive or give --positive_share, "
                "raise "
                + ("--neighbours, or lower --num_negatives" if tuples else "--neighbours or --num_negatives")
            )
        if not test:
            found.append(f"{subset}/test is empty: raise --test_share, or give another --seed")
    if found and differing:
        found.append(
            f"positives that are none since a fact differs: {plural(differing, 'pair')}; --guard numbers "
            "compares fewer facts"
        )
    return found

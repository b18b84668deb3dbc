"""The tables of ``benchmarks.score``, as text and in docs/performance.md and README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def markdown(report: dict[str, Any]) -> str:
    """The tables of a report."""
    machine = report["hardware"]
    lines = [
        f"`{report['command']}`: {machine['cores']} cores of {machine['cpu']} "
        f"({', '.join(machine['instructions'])}), beam_sts {report['beam_sts']}, {report['rounds']} rounds.",
    ]
    for part in report["workloads"]:
        tokens = next((r for r in part["rows"] if r["contestant"].startswith("PairScorer")), None)
        mean = tokens["tokens_per_second"] / tokens["pairs_per_second"] if tokens else float("nan")
        lines += [
            "",
            f"**{part['workload']}**: {part['pairs']:,} pairs, {part['distinct_texts']:,} distinct texts, "
            f"{mean:.1f} tokens a pair",
            "",
            "| | pairs/s | tokens/s | ratio (lowest to highest) | largest, mean difference | padded/real "
            "| peak MB |",
            "|---|---:|---:|---|---|---:|---:|",
        ]
        for row in part["rows"]:
            low, high = row["ratio_range"]
            padding = f"{row['padding']:.3f}" if row["padding"] else ""
            lines.append(
                f"| {row['contestant']} | {row['pairs_per_second']:,.0f} | {row['tokens_per_second']:,.0f} "
                f"| {row['ratio']:.2f} ({low:.2f} to {high:.2f}) "
                f"| {row['largest_difference']:.1e}, {row['mean_difference']:.1e} | {padding} "
                f"| {row['peak_bytes'] / 1e6:,.0f} |"
            )
    absent = {name: reason for part in report["workloads"] for name, reason in part["absent"].items()}
    lines += [""] if absent else []
    for name, reason in absent.items():
        lines.append(f"- {name} was not measured: {reason}")
    if report["pipelines"]:
        lines += [
            "",
            "**pipelines.score, Parquet to Parquet**, mixed pairs",
            "",
            "| | whole command on 62 pairs, s | start-up in a warm process, s | pairs/s past the first "
            "| ratio to the bare loop | peak MB |",
            "|---|---:|---:|---|---|---:|",
        ]
        for row in report["pipelines"]:
            low, high = row["ratio_range"]
            lines.append(
                f"| {row['precision']} | {row['cold_start_seconds']:.1f} | {row['startup_seconds']:.1f} "
                f"| {row['marginal_pairs_per_second']:,.0f} past {row['pairs']:,} "
                f"| {row['ratio_to_bare_loop']:.2f} ({low:.2f} to {high:.2f}) "
                f"| {row['peak_bytes'] / 1e6:,.0f} |"
            )
    if report["threads"]:
        lines += [
            "",
            "**A process with a thread for each core**, to as many processes of one thread at the same time",
            "",
            "| | | ratio |",
            "|---|---|---|",
        ]
        for row in report["threads"]:
            low, high = row["ratio_range"]
            lines.append(
                f"| {row['workload']} | {row['precision']} | {row['ratio']:.2f} ({low:.2f} to {high:.2f}) |"
            )
    versions = {name: v for part in report["workloads"] for name, v in part["versions"].items()}
    for one in sorted({json.dumps(v) for v in versions.values()}):
        lines += ["", "Versions: " + ", ".join(f"{name} {v}" for name, v in json.loads(one).items()) + "."]
    return "\n".join(lines) + "\n"


def sentence(report: dict[str, Any]) -> str:
    """The sentence for README.md: the engine's ratios by precision, and the largest difference of scores."""
    machine = report["hardware"]
    parts = []
    for precision in ("fp32", "bf16", "int8"):
        found = [
            row
            for part in report["workloads"]
            for row in part["rows"]
            if row["contestant"] == f"PairScorer {precision} auto"
        ]
        if found:
            low, high = (pick(row["ratio"] for row in found) for pick in (min, max))
            gap = max(row["largest_difference"] for row in found)
            parts.append(f"{low:.1f} to {high:.1f} times in {precision} (scores differ by at most {gap:.1e})")
    return (
        f"Speed against the fastest batch size of `CrossEncoder.predict` with the same checkpoint, on "
        f"{machine['cores']} cores of {machine['cpu']}, by the lengths and repeats of the texts: "
        f"{', '.join(parts)}."
    )


def publish(report: dict[str, Any]) -> None:
    """Write a report between the marks in docs/performance.md, and its sentence into README.md."""
    for page, text in (("docs/performance.md", markdown(report)), ("README.md", sentence(report))):
        path = ROOT / page
        path.write_text(marked(path.read_text("utf-8"), text), "utf-8")


def marked(page: str, text: str) -> str:
    """A page with the text between its marks replaced.

    Raises:
        ValueError: the page has no marks.
    """
    start, stop = "<!-- measured: python -m benchmarks.score --publish -->\n", "<!-- /measured -->"
    before, found, rest = page.partition(start)
    _, ends, after = rest.partition(stop)
    if not found or not ends:
        raise ValueError(f"the page has no {start.strip()} with {stop}")
    return f"{before}{start}{text.strip()}\n{stop}{after}"

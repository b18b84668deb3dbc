"""Passages of texts in memory: ``beam_sts.remove_passages``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from beam_sts.arrays import one_array
from beam_sts.candidates.source import Columns, TableSource
from beam_sts.errors import UserError
from beam_sts.frames import TEXT, Frame, frame_of, text_name
from beam_sts.passages.find import outcome, passage_receipt_schema, passage_receipts
from beam_sts.passages.lookup import Contained, Repeated
from beam_sts.passages.settings import RemovePassagesSettings
from beam_sts.settings import made, takes


@dataclass(frozen=True)
class PassageRemoval:
    """The result of ``remove_passages``. Tables are of the type of the data.

    Attributes:
        kept: the rows that stay, without the passages if these are cut out.
        removed: the other rows, unchanged.
        passages: one row per passage, with the columns of the folder ``passages/``.
        rejected: the rows without a text.

    >>> pages = ["Which planet has the most moons? Saturn, they say.", "Tomatoes need six hours of sun."]
    >>> found = remove_passages(pages, against=["Which planet has the most moons?"], contains=True)
    >>> found.kept
    ['Tomatoes need six hours of sun.']
    >>> found.passages[0]["passage"], found.passages[0]["score"]
    ('Which planet has the most moons', 1.0)
    """

    kept: Any
    removed: Any
    passages: Any
    rejected: Any


@takes(RemovePassagesSettings, but=("report_examples",))
def remove_passages(
    data: Any,
    *,
    text: str | None = None,
    id: str | None = None,
    against: Any = None,
    against_text: str | None = None,
    against_id: str | None = None,
    **settings: Any,
) -> PassageRemoval:
    r"""Find passages inside texts, and remove them or their rows.

    The result equals that of ``beam-sts dedup`` with ``--contains`` or ``--unit`` on the same rows. All data
    is in memory.

    Args:
        data: texts or a table, as for ``deduplicate``.
        text: the column of texts (default: ``text``).
        id: the column of distinct ids, integers or texts (default: row numbers from 0).
        against: texts or a table. With ``contains``, these texts are searched for; without it, each text is
            searched for in the longer texts of ``data``, and removed if one contains it.
        against_text: its column of texts (default: as ``text``).
        against_id: its column of ids (default: as ``id``).
        **settings: as below.

    Returns:
        The kept, removed and rejected rows, and the passages.

    Raises:
        UserError: the data, a column or a setting is not valid.

    >>> mails = ["See you soon.\nSent from my old grey phone.", "No.\n Sent from my old grey phone."]
    >>> remove_passages(mails, unit="line").kept
    ['See you soon.\nSent from my old grey phone.', 'No.\n ']
    """
    chosen = made(RemovePassagesSettings, "remove_passages", settings)
    chosen = chosen.for_inputs(against=against is not None)
    frame = frame_of(data)
    columns = Columns(text_name(frame, text), id)
    if chosen.removes == "passage" and columns.text not in frame.names:
        raise UserError(
            f"text {columns.text}: a passage can be cut out of a column only. Name a column, or set "
            "remove='row'."
        )
    source = _source(frame, columns, "")
    other = None
    if against is not None:
        frame_against = frame_of(against, "against")
        name = text_name(frame_against, against_text or text, "against_text")
        other = _source(frame_against, Columns(name, against_id or id), "against_")
        if source.id_type != other.id_type:
            raise UserError(
                f"id {id!r}: holds {source.id_type} in the data and {other.id_type} in against. Cast "
                "one of them."
            )
    lookup: Contained | Repeated
    if chosen.contains and other is not None:
        lookup = Contained.read(other, chosen)
    elif chosen.contains:
        lookup = Repeated.read_contained(source, chosen)
    else:
        lookup = Repeated.read(source, other, chosen, within=chosen.within)
    kept, removed, rejected, found_in = [], [], [], []
    for rows in source.read():
        found, others = lookup.of(rows)
        texts = rows.texts.to_pylist()
        ids = one_array(rows.ids)
        found_in.append(passage_receipts(found, texts, ids, others, chosen))
        of = outcome(found, texts, chosen)
        table = frame.table(None).take(pa.array(rows.numbers))
        removed.append(table.filter(pa.array(of.gone)))
        if of.texts is not None:
            place = table.schema.get_field_index(columns.text)
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.array(of.texts, field.type))
        kept.append(table.filter(pa.array(~of.gone)))
        rejected.append(frame.table(None).take(pa.array(rows.data.slice.row + np.array(rows.bad, np.int64))))
    empty = frame.table(None).slice(0, 0)
    schema = passage_receipt_schema(source.id_type)
    return PassageRemoval(
        _made(frame, [empty, *kept]),
        _made(frame, [empty, *removed]),
        frame.made(pa.concat_tables([schema.empty_table(), *found_in])),
        _made(frame, [empty, *rejected]),
    )


def _source(frame: Frame, columns: Columns, flag: str) -> TableSource:
    source = TableSource(frame.table(None), columns)
    columns.check(source.table.schema, flag)
    return source


def _made(frame: Frame, tables: list[pa.Table]) -> Any:
    """Rows in the type of the data; a list of texts if the data was one."""
    found = frame.made(pa.concat_tables(tables))
    return [row[TEXT] for row in found] if isinstance(found, list) else found

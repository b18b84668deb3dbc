"""Values of a column or of an SQL expression over a row's columns; it sees nothing else."""

from __future__ import annotations

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.io.schema import column_at, find_path


def evaluate(table: pa.Table, expression: str, what: str) -> pa.ChunkedArray:
    """One value for each row.

    Args:
        table: n rows.
        expression: a column (``a.b`` in a struct), or a scalar expression in DuckDB's SQL such as
            ``lower(left(name, 4)) || zip``. It sees the table's columns: no files, no network.
        what: what messages call it.

    Raises:
        UserError: the expression is wrong, or does not give one value for each row.

    >>> evaluate(pa.table({"x": [1, 2], "y": ["a", None]}), "x * 10 + coalesce(length(y), 0)", "").to_pylist()
    [11, 20]
    """
    if find_path(table.schema, expression):
        values = column_at(table, expression)
        return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values
    import duckdb

    query = f"SELECT ({expression}\n) FROM rows_of_input"
    with duckdb.connect(":memory:") as connection:
        connection.register("rows_of_input", table)
        connection.execute("SET python_enable_replacements = false; SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            if len(connection.extract_statements(query)) != 1:
                raise UserError(f"{what} {expression!r}: is more than one expression.")
            relation = connection.sql(query)
            found: pa.Table = relation.to_arrow_table() if relation else pa.table({})
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            listed = ", ".join(map(repr, table.column_names[:20]))
            raise UserError(
                f"{what} {expression!r}: {reason}. The columns are {listed}; || joins texts."
            ) from error
    if found.num_columns != 1 or len(found) != len(table):
        raise UserError(
            f"{what} {expression!r}: gives {len(found)} values for {len(table)} rows. It must give one "
            "value for each row, so without aggregates such as max()."
        )
    return found.column(0)

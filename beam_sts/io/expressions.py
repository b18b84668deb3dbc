"""The value of a column, or of an SQL expression over the columns of a row. An expression reads nothing else.

The value of an expression depends only on its row. So a run gives the same results on every machine, each
time it is repeated, and however the rows are cut into slices. DuckDB parses the expression, and whatever is
not known to be row-wise and deterministic is refused: only the functions and operators below are allowed, no
subqueries, window functions or aggregates. No function makes a long text from a short one, so memory is
bounded by the columns.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from beam_sts.errors import UserError
from beam_sts.extras import need
from beam_sts.io.column_paths import column_at, field_at, find_path, listed, missing_column

_ALLOWED = """
+ - * / // % ** ^ & | << >> ~ @ || ~~ !~~ ~~* !~~* ~~~ ^@
abs add cbrt ceil ceiling degrees divide even exp floor fmod gcd greatest greatest_common_divisor
isfinite isinf isnan lcm least least_common_multiple ln log log10 log2 mod multiply pi pow power
radians round round_even sign signbit sqrt subtract trunc xor acos asin atan atan2 cos cot sin tan
ascii bit_length char_length character_length chr concat concat_ws contains ends_with instr lcase
left left_grapheme length length_grapheme lower lpad ltrim md5 nfc_normalize octet_length ord
parse_filename parse_path prefix regexp_extract regexp_full_match regexp_matches regexp_replace
replace reverse right right_grapheme rpad rtrim sha1 sha256 split split_part starts_with str_split
string_split strip_accents strlen strpos substr substring substring_grapheme suffix translate trim
ucase unicode upper
century date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname
dayofmonth dayofweek dayofyear decade epoch epoch_ms epoch_ns epoch_us hour isodow isoyear julian
last_day make_date make_time make_timestamp microsecond millisecond minute month monthname quarter
second strftime strptime to_days to_hours to_microseconds to_milliseconds to_minutes to_months
to_seconds to_timestamp to_weeks to_years try_strptime week weekday weekofyear year yearweek
array_contains array_extract array_has array_length array_position array_to_string cardinality
element_at len list_avg list_contains list_element list_extract list_has list_max list_min
list_position list_sort list_sum list_value map_extract map_extract_value map_keys map_values row
struct_extract struct_pack array_slice list_slice
if ifnull coalesce nullif typeof
"""
FUNCTIONS = frozenset(_ALLOWED.split())
"""The allowed functions and operators. Each gives the same value for the same arguments on every machine."""

_CLASSES = {
    *("CONSTANT", "COLUMN_REF", "FUNCTION", "OPERATOR", "COMPARISON", "CONJUNCTION", "CASE", "CAST"),
    *("BETWEEN", "TYPE"),
}
_ALONE = "it must give one value for each row, from that row alone"
_LONGEST = 10_000  # characters of an expression
_MOST_PADDED = 1_000  # characters
_MOST_REPLACED = 4  # calls of regexp_replace, each of which may insert a character at every position
_SETTINGS: dict[str, Any] = {
    "memory_limit": "2GB",
    "temp_directory": "",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def evaluate(table: pa.Table, expression: str, what: str) -> pa.ChunkedArray:
    """Evaluate an expression: one value per row.

    Args:
        table: n rows.
        expression: a column (``a.b`` for a field of a struct), or a scalar expression in DuckDB's SQL, such
            as ``lower(left(name, 4)) || zip``. Names of columns are case-sensitive. The time zone is UTC.
        what: the name of the setting in messages.

    Returns:
        n values.

    Raises:
        UserError: the expression is invalid, its value does not depend on its row alone, or DuckDB is not
            installed.

    >>> evaluate(pa.table({"x": [1, 2], "y": ["a", None]}), "x * 10 + coalesce(length(y), 0)", "").to_pylist()
    [11, 20]
    """
    if find_path(table.schema, expression):
        return _decoded(column_at(table, expression))
    what = f"{what} {expression!r}:"
    if len(expression) > _LONGEST:
        raise UserError(f"{what[:200]}...: is longer than {_LONGEST:,} characters.")
    need(f"{what} is not a column, and an expression", "expressions", "duckdb")
    import duckdb

    with duckdb.connect(":memory:", config=_SETTINGS) as connection:
        connection.execute("SET TimeZone = 'UTC'; SET python_enable_replacements = false")
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        query, names = _row_wise(connection, expression, what, table.schema)
        # Internal names, since names in DuckDB are not case-sensitive: "Stars" and "stars" are the same.
        columns = {f"column{at}": _decoded(column_at(table, name)) for at, name in enumerate(names)}
        try:
            rows = pa.table({**columns, "rows": pa.nulls(len(table), pa.int8())})
            connection.register("rows_of_input", rows)
            found: pa.Table = connection.sql(f"{query} FROM rows_of_input").to_arrow_table()
        except (duckdb.Error, pa.ArrowException) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            for at, name in reversed(list(enumerate(names))):
                reason = reason.replace(f"column{at}", name)
            columns_there = listed(table.column_names)
            raise UserError(f"{what} {reason}. The columns are {columns_there}; || joins texts.") from error
    return found.column(0)


def value_type(schema: pa.Schema, expression: str, what: str) -> pa.DataType:
    """The type of the values of an expression, without any rows.

    Raises:
        UserError: as for :func:`evaluate`.
    """
    return evaluate(schema.empty_table(), expression, what).type


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _row_wise(connection: Any, expression: str, what: str, schema: pa.Schema) -> tuple[str, list[str]]:
    """The expression as a SELECT over columns ``column0``, ``column1``, ..., and the names of these columns.

    Raises:
        UserError: it is not a single expression whose value depends on its row alone.
    """
    tree, bare = (_parse(connection, text) for text in (expression, "1"))
    if tree.get("error"):
        raise UserError(f"{what} {tree.get('error_message', 'is not an expression')}.")
    select, empty = (made["statements"][0]["node"] for made in (tree, bare))
    chosen = select.pop("select_list", [])
    empty.pop("select_list")
    if len(tree["statements"]) != 1 or len(chosen) != 1 or select != empty:
        raise UserError(f"{what} is more than one expression.")
    names: list[str] = []
    for node in _nodes(chosen):
        kind = node["class"]
        if kind not in _CLASSES:
            raise UserError(f"{what} {kind.lower().replace('_', ' ')} is not allowed: {_ALONE}.")
        if kind == "FUNCTION":
            _check_function(node, what)
        elif kind == "COLUMN_REF":
            name = ".".join(node["column_names"])
            if not find_path(schema, name):
                raise missing_column(f"{what} column {name!r}", name, schema.names)
            _check_fields(field_at(schema, name), what)
            if name not in names:
                names.append(name)
            node["column_names"] = [f"column{names.index(name)}"]
    if sum(node.get("function_name") == "regexp_replace" for node in _nodes(chosen)) > _MOST_REPLACED:
        raise UserError(f"{what} calls regexp_replace() more than {_MOST_REPLACED} times.")
    select["select_list"] = chosen
    return _ask(connection, "json_deserialize_sql(?::JSON)", json.dumps(tree)), names


def _check_fields(field: pa.Field, what: str) -> None:
    """Refuse a struct with fields that DuckDB would confuse."""
    if not pa.types.is_struct(field.type):
        return
    names = [child.name for child in field.type]
    if len({name.lower() for name in names}) < len(names):
        raise UserError(
            f"{what} {field.name!r} has fields that differ by case alone: {', '.join(names)}. Name one of "
            f"them, such as {field.name}.{names[0]}, instead of the struct."
        )
    for child in field.type:
        _check_fields(child, what)


def _parse(connection: Any, expression: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(_ask(connection, "json_serialize_sql(?)", f"SELECT ({expression}\n)"))
    return parsed


def _ask(connection: Any, function: str, text: str) -> str:
    ((answer,),) = connection.execute(f"SELECT {function}", [text]).fetchall()
    return str(answer)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a parsed expression."""
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "class" in here:
                yield here
            waiting += here.values()
        elif isinstance(here, list):
            waiting += here


def _check_function(node: dict[str, Any], what: str) -> None:
    name = ".".join(filter(None, (node.get("schema"), node["function_name"]))).lower()
    if name == "main.date_part":  # what DuckDB before 2.0 makes of extract(... FROM ...)
        name = "date_part"
    if name not in FUNCTIONS:
        near = difflib.get_close_matches(name, FUNCTIONS, n=1, cutoff=0.8)
        hint = f" Did you mean {near[0]}()?" if near else ""
        raise UserError(f"{what} {name}() is not allowed: {_ALONE}.{hint}")
    arguments = [part.get("expression", part) for part in node.get("arguments", node.get("children", []))]
    texts = [_constant(argument) for argument in arguments]
    if name in ("lpad", "rpad") and not (
        len(texts) > 1 and (texts[1] or "").isdecimal() and int(texts[1] or 0) <= _MOST_PADDED
    ):
        raise UserError(f"{what} {name}() needs a literal length of at most {_MOST_PADDED:,} characters.")
    if name in ("replace", "regexp_replace") and len(texts) > 2:
        most = 1 if name == "regexp_replace" else len(texts[1] or "")
        if texts[2] is None or len(texts[2]) > most:
            than = "one character" if name == "regexp_replace" else "what it replaces"
            raise UserError(f"{what} {name}() needs a literal replacement that is not longer than {than}.")


def _constant(node: dict[str, Any]) -> str | None:
    """The text of a constant; None for other nodes."""
    if node["class"] != "CONSTANT":
        return None
    literal = node.get("literal")
    value = node.get("value", {}).get("value") if literal is None else literal.get("text")
    return None if value is None else str(value)

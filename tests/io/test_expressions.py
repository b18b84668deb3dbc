"""Expressions: a value depends only on its row, wherever and whenever it is computed."""

import contextlib
import time

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_sts.errors import UserError
from beam_sts.io import expressions
from beam_sts.io.expressions import FUNCTIONS, evaluate, value_type

TABLE = pa.table(
    {
        "Stars": [1, 2, 3],
        "stars": [9, 8, 7],
        "name": ["Anna", None, "O'x\n"],
        "s": [{"X": 1, "x": 2}] * 3,
        "t": [{"a": "p"}] * 3,
        "list": [["b", "a"], [], None],
        "a.b": [5, 6, 7],
        "column0": [4, 4, 4],
        "day": pa.array([0, 400, None], pa.date32()),
        "coded": pa.array(["u", "v", "u"]).dictionary_encode(),
    }
)

GOOD = {
    "Stars": [1, 2, 3],
    "stars + 0": [9, 8, 7],
    "Stars * 100 + stars": [109, 208, 307],
    "s.X * 10 + s.x": [12, 12, 12],
    '"a.b" + column0': [9, 10, 11],
    "lower(left(name, 2)) || stars": ["an9", None, "o'7"],
    "name || 'it''s; -- é \"'": ["Annait's; -- é \"", None, "O'x\nit's; -- é \""],
    "list[1]": ["b", None, None],
    "t['a']": ["p", "p", "p"],
    "case when stars > 7 then 1.5 end": [1.5, 1.5, None],
    "stars in (7, 9) and name is not null": [True, False, True],
    "year(day)": [1970, 1971, None],
    "extract(month from day)": [1, 2, None],
    "day::timestamptz::varchar": ["1970-01-01 00:00:00+00", "1971-02-05 00:00:00+00", None],
    "regexp_replace(lower(name), '[^a-z]', '', 'g')": ["anna", None, "ox"],
    "lpad(stars::varchar, 3, '0')": ["009", "008", "007"],
    "try_cast(name as double)": [None, None, None],
    "coalesce(name, coded) -- what is there": ["Anna", "v", "O'x\n"],
    "1": [1, 1, 1],
}


@pytest.mark.parametrize("expression", GOOD)
def test_values(expression):
    assert evaluate(TABLE, expression, "key").to_pylist() == GOOD[expression]
    assert value_type(TABLE.schema, expression, "key") == evaluate(TABLE, expression, "key").type


REFUSED = {
    **dict.fromkeys(("random()", "uuid()", "gen_random_uuid()", "setseed(1)"), "is not allowed"),
    **dict.fromkeys(("now()", "today()", "current_timestamp::int", "age(day)"), "is not"),
    **dict.fromkeys(("current_date", "current_user", "rowid", "rows", "rows_of_input"), "is not in"),
    **dict.fromkeys(("nextval('s')", "txid_current()", "hash(name)", "version()"), "is not allowed"),
    **dict.fromkeys(("row_number() over ()", "sum(stars) over (order by stars)"), "window is not allowed"),
    **dict.fromkeys(("max(stars)", "count(*)", "string_agg(name)", "grouping(stars)"), "allowed|GROUPING"),
    **dict.fromkeys(("(select 1)", "exists(select 1)", "stars in (select 9)"), "subquery is not allowed"),
    "(select content from read_text('.tmp/inner.txt'))": "subquery is not allowed",
    **dict.fromkeys(("read_text('a')", "glob('*')", "unnest(list)", "range(1000000000000)"), "not allowed"),
    **dict.fromkeys(("getenv('HOME')", "current_setting('threads')", "getvariable('x')"), "not allowed"),
    **dict.fromkeys(("pg_sleep(9)", "sleep_ms(9000)", "write_log('x')", "query('select 1')"), "not allowed"),
    **dict.fromkeys(("main.lower(name)", "name.lower()", "system.main.random()"), "is not allowed"),
    **dict.fromkeys(("list_transform(list, x -> x)", "list_filter(list, lambda x: true)"), "is not allowed"),
    **dict.fromkeys(("repeat('x', 10000000000)", "range(3)", "format('{:>999999999}', name)"), "not allowed"),
    **dict.fromkeys(("lpad(name, 2000000000, 'x')", "rpad(name, stars, 'x')"), "at most 1,000"),
    "replace(name, 'a', 'aa')": "longer than what it replaces",
    "regexp_replace(name, '', name, 'g')": "longer than one character",
    "regexp_replace(" * 5 + "name" + ", '', 'x', 'g')" * 5: "more than 4 times",
    **dict.fromkeys(("*", "columns('s.*')", "#1", "$1", "?"), "is not allowed"),
    "name collate nocase": "collate is not allowed",
    **dict.fromkeys(("1), (2", "1) from range(3) t(x), (select 1", "1) where (true"), "more than one|syntax"),
    **dict.fromkeys(("1); select (2", "1); attach 'x'; select (1"), "more than one|SELECT"),
    **dict.fromkeys(("copy t to 'f'", "pragma version", "install httpfs", "'", "a b"), "syntax|unterminated"),
    "STARS": "is not in the input",
    "STARS + 1": "is not in the input",
    "s.z + 1": "is not in the input",
    "s['x'] + 1": "differ by case alone: X, x.*such as s.X",
    "nam || ''": "did you mean 'name'",
    "lengt(name)": r"Did you mean length\(\)",
    "+".join(["1"] * 3000): "depth",
    "1" * 20_000: "longer than 10,000 characters",
    "name::int": "key 'name::int': Conversion Error.*The columns are 'Stars'",
}


@pytest.mark.parametrize("expression", REFUSED, ids=lambda text: text[:40])
def test_what_does_not_follow_from_the_row_is_refused_at_once(expression):
    started = time.perf_counter()
    with pytest.raises(UserError, match=REFUSED[expression]):
        evaluate(TABLE, expression, "key")
    assert time.perf_counter() - started < 5


READERS = (
    "(select content from read_text('{}'))",
    "read_text('{}')",
    "(select string_agg(file) from glob('{}'))",
    "(select sum(a) from read_csv('{}'))",
    "1 in (from '{}')",
    "(table '{}')",
    "exists(from '{}')",
    "array(from '{}')",
    '"{}".a',
)
PLACES = (".tmp/in.csv", ".tmp/../out.csv", ".tmp/./in.csv", ".tmp/%2e%2e/out.csv", ".tmp/link/out.csv")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("reader", READERS)
def test_no_file_is_read_not_even_of_the_engine_s_own_folder(reader, place, tmp_path, monkeypatch):
    """DuckDB may read its temporary folder, ``.tmp`` in the current one, even without access to others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".tmp").mkdir()
    for name in (".tmp/in.csv", "out.csv"):
        (tmp_path / name).write_text("a\n1\n")
    (tmp_path / ".tmp" / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match=r"not allowed|is not in the input"):
        evaluate(TABLE, reader.format(place), "key")


def test_no_file_is_written_when_memory_is_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(expressions._SETTINGS, "memory_limit", "10MB")
    table = pa.table({"x": ["ab" * 500] * 30_000})  # 30 MB, and the value is 60
    with contextlib.suppress(UserError):  # it may fail, but must not write a temporary file
        assert len(evaluate(table, "upper(x) || lower(x)", "key")) == len(table)
    assert not list(tmp_path.iterdir())


def test_the_zone_of_the_machine_does_not_matter(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert evaluate(TABLE, "epoch(day::timestamptz)", "key").to_pylist() == [0.0, 400 * 86400.0, None]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_may_be_called_does_not_change_from_call_to_call():
    query = """SELECT function_name, bool_and(function_type IN ('scalar', 'macro')),
        bool_or(has_side_effects), bool_or(stability = 'VOLATILE'),
        bool_and(stability = 'CONSISTENT_WITHIN_QUERY')
        FROM duckdb_functions() GROUP BY ALL"""
    known = {row[0]: row[1:] for row in duckdb.sql(query).fetchall()}
    for name in FUNCTIONS - {"coalesce", "if", "ifnull"}:  # operators of the parser, in some versions
        scalar, effects, volatile, within_query_alone = known[name]
        assert scalar, name
        assert not effects, name
        assert not volatile, name
        # Other overloads, for timestamps with a time zone, are constant too, because the zone is UTC.
        assert not within_query_alone, name


ROW = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(),
        "t": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    }
)
SCHEMA = pa.schema([("n", pa.int64()), ("x", pa.float64()), ("t", pa.string())])
ROW_WISE = (
    "n % 7 + coalesce(length(t), 0)",
    "lower(left(t, 3)) || coalesce(n, 0)",
    "round(least(x, 3), 2)",
    "case when x > 0 then t else reverse(t) end",
    "string_split(t, ' ')[1] || md5(t)",
    "list_sort([t, left(t, 1), 'a'])[2]",
    "regexp_extract(t, '([a-z]+)') || strip_accents(t)",
    "date_part('week', make_date(2000, 1, 1) + (n % 1000)::int)",
)


@settings(max_examples=12)
@given(st.lists(ROW, max_size=20), st.data(), st.sampled_from(ROW_WISE))
@pytest.mark.long
def test_how_rows_are_cut_into_slices_does_not_matter(rows, data, expression):
    table = pa.Table.from_pylist(rows, SCHEMA)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    whole = evaluate(table, expression, "key")
    parts = [
        evaluate(table.slice(start, stop - start), expression, "key")
        for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    joined = pa.chunked_array([chunk for part in parts for chunk in part.chunks], whole.type)
    assert str(joined.to_pylist()) == str(whole.to_pylist())  # of texts: NaN is not itself
    assert whole.type == value_type(SCHEMA, expression, "key")

import json
import os

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beam_sts.errors import UserError
from beam_sts.io import ranges
from beam_sts.io.format_tables import document, main
from beam_sts.io.reading import formats, plan_input, read_slices
from tests.io.samples import CSV_NUL, ENDINGS, LINES, PACK, write

quick = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(pattern, per_slice=4, texts=()):
    plan = plan_input(str(pattern), per_slice)
    parts = [part for unit in plan.units for part in read_slices(unit, plan.schema, texts)]
    assert [part.slice.index for part in parts] == list(range(len(parts)))
    assert all(part.table.schema.equals(plan.schema) for part in parts)
    assert all(part.bad == [] for part in parts)
    numbers = [(part.slice.path, row) for part in parts for row in part.rows]
    return pa.concat_tables([plan.schema.empty_table(), *(part.table for part in parts)]), numbers


characters = st.characters(exclude_categories=["Cs"], exclude_characters="" if CSV_NUL else "\0")
texts = st.text(characters, max_size=8)


@pytest.mark.parametrize("ending", ENDINGS)
@quick
@given(rows=st.lists(st.tuples(texts, texts), max_size=12), per_slice=st.integers(1, 13))
def test_any_texts_come_back_in_order_from_every_format(tmp_path, ending, rows, per_slice):
    a, b = zip(*rows, strict=True) if rows else ([], [])
    table = pa.table({"a": pa.array(a, pa.string()), "b": pa.array(b, pa.string())})
    path = write(tmp_path / f"in{ending}", table)
    if not rows and "jsonl" in ending:
        with pytest.raises(UserError, match="is empty"):
            read(path)
        return
    got, numbers = read(path, per_slice)
    assert got.equals(table)
    assert numbers == [(str(path), row) for row in range(len(rows))]


@pytest.mark.parametrize("ending", ENDINGS)
def test_slices_are_read_alike_when_some_are_done_already(tmp_path, ending):
    table = pa.table({"a": [f"t{i}\n" for i in range(20)]})
    plan = plan_input(str(write(tmp_path / f"in{ending}", table)), 2)
    assert all(len({part.path for part in unit}) == 1 for unit in plan.units)
    for unit in plan.units:
        for missing in (unit[1::2], unit[-1:], unit[:1]):
            for part in read_slices(missing, plan.schema) if missing else ():
                assert part.table["a"].to_pylist() == table["a"].to_pylist()[part.slice.row :][:2]


def test_a_mixed_folder_is_one_input(tmp_path):
    table = pa.table({"a": ["x", "y"], "b": ["1", "2"]})
    for position, ending in enumerate(ENDINGS):
        write(tmp_path / f"{position:02d}{ending}", table)
    got, numbers = read(tmp_path)
    assert got.equals(pa.concat_tables([table] * len(ENDINGS)))
    assert len(set(numbers)) == 2 * len(ENDINGS)


def test_folders_named_name_equals_value_add_a_column(tmp_path):
    for folder, ending in (
        ("lang=en/year=2024", ".csv.gz"),
        ("lang=de%2Fch/year=07", ".parquet"),
        ("x", ".jsonl"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / f"p{ending}", pa.table({"t": [folder]}))
    (tmp_path / "lang=__HIVE_DEFAULT_PARTITION__").mkdir()
    write(tmp_path / "lang=__HIVE_DEFAULT_PARTITION__" / "p.csv", pa.table({"t": ["none"]}))
    (tmp_path / "lang=own").mkdir()
    write(tmp_path / "lang=own" / "p.csv", pa.table({"t": ["own"], "lang": ["its own"]}))
    got = {row.pop("t"): row for row in read(tmp_path)[0].to_pylist()}
    assert got == {
        "lang=en/year=2024": {"lang": "en", "year": "2024"},
        "lang=de%2Fch/year=07": {"lang": "de/ch", "year": "07"},
        "x": {"lang": None, "year": None},
        "none": {"lang": None, "year": None},
        "own": {"lang": "its own", "year": None},
    }


def test_an_empty_file_of_lines_is_nothing_beside_others_and_an_error_alone(tmp_path):
    for ending in LINES:
        (tmp_path / f"0{ending}").write_bytes(b"")
        with pytest.raises(UserError, match=r"no rows and no column names.* is empty"):
            plan_input(str(tmp_path / f"0{ending}"), 5)
    write(tmp_path / "1.parquet", pa.table({"a": ["x"]}))
    assert read(tmp_path)[0].to_pylist() == [{"a": "x"}]


@pytest.mark.parametrize("ending", [end for end in ENDINGS if end not in (".jsonl", ".csv", ".tsv")])
def test_a_truncated_file_is_refused_before_the_work(tmp_path, ending):
    path = write(tmp_path / f"in{ending}", pa.table({"a": [f"text {i * 7919}" for i in range(500)]}))
    data = path.read_bytes()
    for size in (len(data) // 2, len(data) - 9):
        path.write_bytes(data[:size])
        with pytest.raises(UserError, match="in" + ending.replace(".", r"\.")):
            plan_input(str(path), 5)


@pytest.mark.parametrize("ending", [".parquet", ".feather", ".arrow"])
def test_an_empty_binary_file_is_refused(tmp_path, ending):
    (tmp_path / f"in{ending}").write_bytes(b"")
    with pytest.raises(UserError, match="empty, 0 bytes"):
        plan_input(str(tmp_path / f"in{ending}"), 5)


def _mistaken():
    """Pairs of a file's real format and that of its extension, if bytes can distinguish them."""
    kinds = {".arrow": "arrow", ".arrows": "arrow", ".feather": "arrow"}
    kinds |= {end + packed: f"delimited{packed}" for end in (".csv", ".tsv") for packed in PACK}
    pairs = [(real, said) for real in ENDINGS for said in ENDINGS]
    return [(real, said) for real, said in pairs if kinds.get(real, real) != kinds.get(said, said)]


@pytest.mark.parametrize(("real", "said"), _mistaken())
def test_a_wrong_ending_is_told_by_the_first_bytes(tmp_path, real, said):
    source = write(tmp_path / f"x{real}", pa.table({"a": ["x", "y"], "b": ["1", "2"]}))
    with pytest.raises(UserError, match=r"by its first bytes|looks like JSON Lines"):
        plan_input(str(source.rename(tmp_path / f"in{said}")), 5)


def test_rows_of_many_bytes_make_short_slices(tmp_path, monkeypatch):
    monkeypatch.setattr(ranges, "SLICE_BYTES", 10_000)
    table = pa.table({"a": [f"{i}" * 1000 for i in range(10, 40)]})
    for ending in (".parquet", ".arrow"):
        plan = plan_input(str(write(tmp_path / f"in{ending}", table)), 1000)
        assert max(part.rows for part in plan.slices) <= 8
        assert read(tmp_path / f"in{ending}", 1000)[0].equals(table)


def test_a_file_is_identified_by_its_content(tmp_path):
    for ending in ENDINGS:
        path = tmp_path / f"in{ending}"
        contents = [plan_input(str(write(path, pa.table({"a": [t]}))), 5).contents for t in ("x", "y", "x")]
        assert contents[0] == contents[2] != contents[1]


def test_a_file_without_permission_is_named(tmp_path):
    paths = [write(tmp_path / f"in{ending}", pa.table({"a": ["x"]})) for ending in ENDINGS]
    for path in paths:
        path.chmod(0)
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    root = os.geteuid() == 0  # root may read everything
    if root:
        os.seteuid(65534)
    try:
        for path in paths:
            with pytest.raises(UserError, match=rf"{path}: .*Permission denied"):
                plan_input(str(path), 5)
    finally:
        if root:
            os.seteuid(0)


def test_an_unknown_ending_is_refused(tmp_path):
    (tmp_path / "in.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"not that of a known format. Readable: \.parquet"):
        plan_input(str(tmp_path / "in.xlsx"), 5)


def test_the_document_is_current(tmp_path, capsys):
    with open("docs/formats.md", encoding="utf-8") as stream:  # noqa: PTH123
        text = stream.read()
    assert document(text) == text, "run: python -m beam_sts.io.format_tables docs/formats.md"
    main([])
    assert capsys.readouterr().out.strip() in text
    for known in formats():
        assert all(f"`{ending}`" in text for ending in known.suffixes)
    old = tmp_path / "old.md"
    old.write_text(text.replace("Arrow", "Narrow"), encoding="utf-8")
    main([str(old)])
    assert old.read_text(encoding="utf-8").count("| Arrow") == text.count("| Arrow") > 0


def test_json_objects_of_several_shapes_are_united(tmp_path):
    lines = [{"a": {"b": "x", "n": 1}}, {"a": {"b": 5}}, {"a": None}, {"a": {"b": "y", "m": [1]}}, {"z": {}}]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    got = read(path)[0].to_pylist()
    assert [row["a"] and row["a"]["b"] for row in got] == ['"x"', "5", None, '"y"', None]  # JSON text
    assert got[3]["a"] == {"b": '"y"', "n": None, "m": [1]}
    assert got[4]["z"] == "{}"

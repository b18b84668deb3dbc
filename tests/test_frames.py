"""Tables in memory: of any kind in, the same kind out."""

import pyarrow as pa
import pytest

from beam_sts import UserError
from beam_sts.frames import as_given, as_table

ROWS = [{"text": "one", "n": 1}, {"text": "two", "n": 2}]


def kinds():
    datasets, pandas, polars = (pytest.importorskip(name) for name in ("datasets", "pandas", "polars"))
    table = pa.Table.from_pylist(ROWS)
    return [
        table,
        pandas.DataFrame(ROWS),
        pandas.DataFrame(ROWS).set_index("n", drop=False),
        polars.DataFrame(ROWS),
        datasets.Dataset.from_list(ROWS),
        datasets.Dataset.from_list([*ROWS, *ROWS]).select([2, 1]),
    ]


def test_the_same_rows_of_every_kind_and_the_same_kind_back():
    for data in kinds():
        table = as_table(data)
        assert table.select(["text", "n"]).to_pylist() == ROWS
        back = as_given(table.slice(1), data)
        assert type(back) is type(data)
        assert as_table(back).to_pylist() == ROWS[1:]


def test_texts_alone_become_a_column():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    texts = ["one", None, "two"]
    arrays = (pa.array(texts), pa.chunked_array([texts]), pandas.Series(texts), polars.Series(texts))
    for data in (texts, tuple(texts), iter(texts), *arrays):
        assert as_table(data, "words").to_pylist() == [{"words": text} for text in texts]
    assert as_table(ROWS).to_pylist() == ROWS
    assert as_table(pa.RecordBatch.from_pylist(ROWS)).to_pylist() == ROWS
    assert as_table([]).num_rows == 0


@pytest.mark.parametrize(
    "data", ["a text", b"bytes", 7, None, {"text": ["one"]}, [1, "one"], [{"a": 1}, "b"]]
)
def test_what_is_no_collection_of_texts_is_refused(data):
    with pytest.raises(UserError):
        as_table(data)

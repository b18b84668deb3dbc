"""The files that the commands of README and docs read: a few rows of each."""

import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
BODIES = [
    "The old bridge over the river was closed on Monday for repairs. Boats may still pass below it.",
    "The old bridge over the river was closed on Monday, for repairs. Boats may still pass below it.",
    "Tomatoes need six hours of sun a day. Water them in the morning and cut the side shoots.",
    "The council raised the price of a bus ticket to three euros. It had been two since 2015.",
    "A new library opened in the north of the town. It lends books, tools and musical instruments.",
    "The old bridge over the river was closed on Monday for repairs. Boats may still pass under it.",
    "Stocks fell sharply after the bank raised its rate. Analysts had expected no change at all.",
    "A new library opened in the north of the town. It lends books, tools and musical instruments!",
]
PAIRS = list(zip(BODIES, BODIES[1:] + BODIES[:1], strict=True))


def write(folder: Path) -> None:
    """Write all files below a folder."""

    def parquet(name: str, **columns: list) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), folder / name)

    def lines(name: str, rows: list[dict]) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        opener = gzip.open if name.endswith(".gz") else open
        with opener(folder / name, "wt", encoding="utf-8") as stream:
            stream.write(text)

    first, second = map(list, zip(*PAIRS, strict=True))
    urls = [f"https://example.org/{letter}" for letter in "abcdefgh"]
    shutil.copytree(ROOT / "examples", folder / "examples")
    parquet("data/pairs.parquet", text1=first, text2=second, question=first, answer=second)
    lines("data/pairs.jsonl", [{"text1": a, "text2": b} for a, b in PAIRS])
    with gzip.open(folder / "data" / "pairs.csv.gz", "wt") as stream:
        stream.write("text1,text2\n" + "".join(f'"{a}","{b}"\n' for a, b in PAIRS))
    parquet("corpus/part-0.parquet", text=BODIES, url=urls, id=list(range(8)))
    rows = [{"text": text, "id": at, "url": f"new/{at}"} for at, text in enumerate(BODIES)]
    lines("corpus.jsonl", rows)
    lines("new.jsonl", rows)
    lines("train.jsonl", rows[:4])
    lines("test.jsonl", rows[4:])
    lines("crawl/part-0.jsonl.gz", rows)
    parquet("docs/part-0.parquet", body=BODIES, url=urls)
    parquet("faq.parquet", question=first, answer=second)
    parquet("gold.parquet", text1=first, text2=second, gold=[5.0, 0.5, 0.0, 0.2, 0.1, 0.3, 0.1, 0.2])
    answers = [
        {
            "question_id": i,
            "answer": a,
            "reference": b,
            "system": system,
            "mark": 5 * (a[:9] == b[:9]) + i % 2,
        }
        for i, (a, b) in enumerate(PAIRS)
        for system in "abc"
    ]
    lines("answers.jsonl", answers)
    lines("wide.jsonl", [{"old": a, "new": a, "reference": b} for a, b in PAIRS])
    for name in ("shop_a", "shop_b"):
        goods = [f"printer LX-{n} {name[-1:]} laser" for n in range(350, 380, 5)]
        table = pa.table({"title": goods, "sku": [f"{name}-{n}" for n in range(len(goods))]})
        pa.csv.write_csv(table, folder / f"{name}.csv")

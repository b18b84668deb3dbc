"""Runs to report on: hostile texts, rejected rows, long pairs, on a tiny model."""

import json

from beam_sts.cli import score
from tests.checkpoints import SENTENCES

HOSTILE = [
    "<script>document.title = 'owned'</script>",
    "</title></style><img src=x onerror=\"document.title='owned'\">",
    '"><svg onload="document.title=\'owned\'">',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- --></pre></details><iframe src=http://example.org></iframe>",
    "\u202e right to left \u202c \x00 \x1b[31m",
    "مرحبا بالعالم",
    "&lt;b&gt; &amp;",
    "",
    "a" * 3000,
]


def lines():
    """JSON Lines with ordinary pairs, hostile ones, nulls and invalid lines."""
    rows = [
        json.dumps({"text1": SENTENCES[i % 7], "text2": SENTENCES[i % 5] + " " * (i % 3)}) for i in range(60)
    ]
    for at, text in enumerate(HOSTILE):
        rows.append(json.dumps({"text1": text, "text2": HOSTILE[at - 1]}))
        rows.append(json.dumps({"text1": text, "text2": None}))
        rows.append("{broken " + text.replace("\n", " "))
    rows.append(json.dumps({"text1": " ".join(SENTENCES * 200), "text2": "long"}))
    return rows


def scored(folder, model, *more):
    """The output folder of a finished run; the name of its input is hostile too."""
    source = folder / "in <img src=x onerror=alert(1)>.jsonl"
    if not source.exists():
        source.write_text("\n".join(lines()), encoding="utf-8")
    flags = ["--rows_per_shard", "40", "--threads", "1", "--threshold", "0.5", *more]
    status = score.main(
        ["--input", str(source), "--output", str(folder / "out"), "--model", str(model), *flags]
    )
    assert status == 0
    return folder / "out"

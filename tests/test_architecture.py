"""docs/architecture.md and its figure are correct: files exist, and the rooms are those of the contract."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE))))
def test_a_file_that_is_named_is_there(name):
    places = [
        ROOT / name,
        ROOT / "beam_sts" / name,
        *(ROOT / "beam_sts" / room / name for room in ("dedup", "mining")),
    ]
    assert any(place.exists() for place in places)


def test_the_figure_has_the_rooms_of_the_contract_in_their_order():
    tomllib = pytest.importorskip("tomllib") if sys.version_info >= (3, 11) else pytest.skip("no tomllib")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer.split(" | ") for layer in contracts[0]["layers"]]
    level = {room: at for at, rooms in enumerate(layers) for room in rooms}
    shown = re.findall(
        r'y="(\d+)" width="\d+" height="62" rx="8"/><text class="name"[^>]*>(\w+)<',
        (ROOT / "docs/rooms.svg").read_text(),
    )
    packages = {path.parent.name for path in (ROOT / "beam_sts").glob("*/__init__.py")} - {"corpus"}
    assert {room for _, room in shown} == packages
    heights = {room: int(y) for y, room in shown}
    for room in packages:
        for other in packages:
            if heights[room] < heights[other]:
                assert level[room] < level[other], f"{room} is drawn above {other}"

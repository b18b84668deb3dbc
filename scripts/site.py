"""A hook of MkDocs: the site links to the repository, whose address ``beam_sts.links`` has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINKS = Path(__file__).parents[1] / "beam_sts/links.py"


def on_config(config: Any) -> Any:
    """Give the site the address of the repository, if there is one."""
    found = re.search(r'^REPOSITORY = "(.+)"$', LINKS.read_text("utf-8"), re.M)  # read, as setup.py does
    if found:
        config.repo_url = found[1]
        config.edit_uri = "edit/main/docs/"
    return config

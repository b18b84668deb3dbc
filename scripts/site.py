"""A hook of MkDocs: links the site to the repository, whose address is in ``beam_sts.links``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

LINKS = Path(__file__).parents[1] / "beam_sts/links.py"


def on_config(config: Any) -> Any:
    """Set the address of the repository in the site's configuration, if there is one."""
    found = re.search(r'^REPOSITORY = "(.+)"$', LINKS.read_text("utf-8"), re.M)  # parsed, as in setup.py
    if found:
        config.repo_url = found[1]
        config.edit_uri = "edit/main/docs/"
    return config

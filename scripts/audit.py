"""Known vulnerabilities of what is installed beside this Python, by pip-audit; part of .ci/run.

    python scripts/audit.py

Asks pypi.org for vulnerabilities. Where it does not answer the audit is skipped and says so, with status 0;
a vulnerability is status 1. One that does not concern us is named in IGNORED with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

# An old release with vulnerabilities that will not go away: a service that does not name them is none.
CANARY = "https://pypi.org/pypi/jinja2/2.4.1/json"
SECONDS = 15
LIMIT = 300  # of the whole audit
IGNORED: dict[str, str] = {}
"""Reasons by identifier, such as ``{"PYSEC-2020-1": "we do not call it"}``."""


def reachable(url: str = CANARY) -> str | None:
    """Why the vulnerability data cannot be asked; None where it can."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            known = json.load(answer).get("vulnerabilities")
    except (OSError, ValueError, AttributeError) as error:
        return f"{url}: {type(error).__name__}: {error}"
    return None if known else f"{url}: names no vulnerability of a release that has some"


def main() -> int:
    """Audit, or say why not."""
    if why := reachable():
        print(f"dependency audit SKIPPED: no vulnerability data here ({why})")
        return 0
    install = [sys.executable, "-m", "pip", "install", "--quiet", "pip-audit>=2.9"]
    audit = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off"]
    for name in IGNORED:
        audit += ["--ignore-vuln", name]
    try:
        subprocess.run(install, check=True, timeout=LIMIT)
        return subprocess.run(audit, check=False, timeout=LIMIT).returncode
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        print(f"dependency audit SKIPPED: {error}")
        return 0


if __name__ == "__main__":
    sys.exit(main())

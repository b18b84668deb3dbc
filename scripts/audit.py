"""Audits the packages installed for this Python for known vulnerabilities by pip-audit; part of .ci/run.

    python scripts/audit.py

The data comes from pypi.org. If it cannot be reached, the audit is skipped with a message and exit status 0.
A vulnerability gives exit status 1. IGNORED lists those that do not concern this project, with the reason.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request

# An old release with permanent vulnerabilities: a service that does not list them has no usable data.
CANARY = "https://pypi.org/pypi/jinja2/2.4.1/json"
SECONDS = 15
LIMIT = 300  # seconds for the whole audit
IGNORED: dict[str, str] = {}
"""Reasons by vulnerability, such as ``{"PYSEC-2020-1": "we do not call it"}``."""


def reachable(url: str = CANARY) -> str | None:
    """Returns why the vulnerability data is not available; None if it is."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            known = json.load(answer).get("vulnerabilities")
    except (OSError, ValueError, AttributeError) as error:
        return f"{url}: {type(error).__name__}: {error}"
    return None if known else f"{url}: lists no vulnerability of a release with known ones"


def main() -> int:
    """Audit, or report why not. Returns the exit status."""
    if why := reachable():
        print(f"dependency audit skipped: no vulnerability data ({why})")
        return 0
    install = [sys.executable, "-m", "pip", "install", "--quiet", "pip-audit>=2.9"]
    audit = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off"]
    for name in IGNORED:
        audit += ["--ignore-vuln", name]
    try:
        subprocess.run(install, check=True, timeout=LIMIT)
        return subprocess.run(audit, check=False, timeout=LIMIT).returncode
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        print(f"dependency audit skipped: {error}")
        return 0


if __name__ == "__main__":
    sys.exit(main())

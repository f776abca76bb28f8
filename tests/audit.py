"""Known weaknesses of what is installed: python -m tests.audit. Status 1 where there are any.

Asks PyPI's service by pip-audit. Where that does not answer nothing is known, which is said and is
no failure: a build does not depend on somebody else's server.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = ("-m", "pip_audit", "--local", "--skip-editable", "--progress-spinner", "off")
PATIENCE = 300
"""Seconds that all of it may take."""


def main(command: tuple[str, ...] = COMMAND) -> int:
    """Ask, and print what was found."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "audit.json"
        asked = [sys.executable, *command, "--format", "json", "--output", str(report)]
        try:
            done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE)
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        except subprocess.TimeoutExpired:
            said = f"it took more than {PATIENCE} s"
        try:
            packages = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            print(f"Weaknesses of packages are not known now: {said}")
            return 0
    found = [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in "
        f"{', '.join(weakness['fix_versions']) or 'no version'}"
        for package in packages
        for weakness in package.get("vulns", ())
    ]
    unasked = sum("skip_reason" in package for package in packages)
    if unasked == len(packages):  # a mirror of PyPI that has no such service
        print("Weaknesses of packages are not known now: the service knows none of the packages")
        return 0
    rest = f", of {unasked} the service does not know" if unasked else ""
    print("\n".join(found) or f"No weakness is known of {len(packages) - unasked} packages{rest}.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

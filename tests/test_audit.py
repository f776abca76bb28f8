"""The audit of packages: what is found fails, a service that does not answer does not."""

import json
from pathlib import Path

import pytest

from tests import audit

SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
WEAK = {"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}

UNKNOWN = {"name": "y", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("report", "status", "said"),
    [
        ({"dependencies": [SOUND]}, 0, "No weakness is known of 1 packages."),
        ({"dependencies": [SOUND, WEAK]}, 1, "x 1: PYSEC-1, mended in 2"),
        ({"dependencies": [SOUND, UNKNOWN]}, 0, "of 1 packages, of 1 the service does not know."),
        ({"dependencies": [UNKNOWN]}, 0, "are not known now: the service knows none"),
        (None, 0, "Weaknesses of packages are not known now: ServiceError: no answer"),
    ],
)
def test_audit(tmp_path: Path, capsys, report: dict | None, status: int, said: str) -> None:
    stand_in = tmp_path / "pip_audit.py"
    stand_in.write_text(
        "import sys\n"
        f"report = {json.dumps(json.dumps(report))}\n"
        "if report == 'null':\n    sys.exit('ServiceError: no answer')\n"
        "open(sys.argv[sys.argv.index('--output') + 1], 'w').write(report)\n"
        "sys.exit(1)\n"
    )
    assert audit.main((str(stand_in),)) == status
    assert said in capsys.readouterr().out

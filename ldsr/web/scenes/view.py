"""A scene job as the page shows it; nothing in it leads into the server."""

from typing import Any

from ldsr.web.scenes.records import ENDED, NUMBERS, PHASES, Record, Records, number

PREVIEW = "preview.png"
STOP = "stop"
"""A file that asks whoever runs a job to stop it."""
ENDING = {"done": "writing", "failed": "computing", "stopped": "computing"}
"""What a job still does on the server whose command has said its last word, by that word."""


def describe(records: Records, record: Record, *, expires: float) -> dict[str, Any]:
    """Describe a job for the page.

    Args:
        records: where it is kept.
        record: the job.
        expires: until when it is kept once it has ended, seconds since 1970.
    """
    said = records.progress(record)
    running = record.state == "running"
    phase = str(said.get("state"))
    state = phase if phase in PHASES else ENDING.get(phase, "starting")
    numbers = {name: number(said.get(name)) for name in NUMBERS}
    begun = numbers | {"windows": numbers["windows"] or record.windows}
    preview = f"ldsr/jobs/{record.id}/{PREVIEW}"
    return begun | {
        "id": record.id,
        "state": state if running else record.state,
        "stopping": running and (records.path(record.id) / STOP).exists(),
        "name": record.name,
        "size": list(record.size),
        "about": record.about,
        "message": record.message,
        "place": _place(records, record),
        "created": record.created,
        "expires": expires if record.state in ENDED else None,
        "files": _files(records, record),
        "preview": preview if has_file(records, record, PREVIEW) else "",
    }


def has_file(records: Records, record: Record, name: str) -> bool:
    """Whether a finished job has a file of that name."""
    return record.state == "done" and (records.path(record.id) / name).is_file()


def say_gaps(said: dict[str, Any]) -> str:
    """Say which windows the file of a finished job lacks, "" where none.

    Args:
        said: last words of the command.
    """
    failed = number(said.get("failed")) or 0
    if not failed:
        return ""
    windows = "1 window failed and is" if failed == 1 else f"{failed} windows failed and are"
    return f"{windows} empty in the file."


def _place(records: Records, record: Record) -> int:
    """Number of jobs before one that waits."""
    if record.state != "waiting":
        return 0
    return sum(
        one.state == "running" or (one.state == "waiting" and one.order < record.order)
        for one in records.all()
    )


def _files(records: Records, record: Record) -> dict[str, dict[str, Any]]:
    there = {kind: name for kind, name in record.files.items() if has_file(records, record, name)}
    return {
        kind: {
            "url": f"ldsr/jobs/{record.id}/{name}",
            "name": name,
            "bytes": (records.path(record.id) / name).stat().st_size,
        }
        for kind, name in there.items()
    }

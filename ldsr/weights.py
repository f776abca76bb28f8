"""Finds the files of the manifest, checks what they are, and fetches them when a person asks.

Nothing is fetched behind the person's back: `fetch` is called by `python -m ldsr weights` alone.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from ldsr.errors import WeightsError
from ldsr.manifest import ASSETS, WEIGHTS, Weights, home

__all__ = [
    "ASSETS", "WEIGHTS", "Weights", "copy_from", "describe", "fetch", "find_weights", "hash_file",
    "home", "size_text", "state", "verify",
]  # fmt: skip

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here and those there will be, or None."""

CHUNK = 1 << 16
TIMEOUT = (10.0, 60.0)
"""Seconds to wait for a connection, and for the next bytes."""
SPARE = 1 << 26
"""Bytes that a download must leave free on the disk."""


def hash_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_weights(name: str) -> tuple[Path, str]:
    """Find the file of a name in WEIGHTS and check it: its path and SHA-256.

    Raises:
        WeightsError: unknown name, missing file or wrong hash.
    """
    entry = _entry(name)
    verdict, digest = verify(name)
    wanted = _wanted(entry) or entry.begins
    if digest is None:
        how = (
            f"fetch them with: {_command(name)} ({size_text(entry.bytes)} from {entry.url})"
            if entry.url
            else "check out the repository again"
        )
        raise WeightsError(f"The weights {name!r} are not at {entry.path}; {how}.")
    if verdict == "wrong":
        raise WeightsError(
            f"{entry.path.name} has the hash {digest[:12]}..., expected {wanted[:12]}...; "
            "it is damaged or another version: fetch it again."
        )
    return entry.path, digest


def find_model(name: str) -> tuple[Path, str]:
    """Find the file of a model, as `find_weights`; parts of a model are none.

    Raises:
        WeightsError: unknown name, a part, a missing file or a wrong hash.
    """
    if name in WEIGHTS and WEIGHTS[name].role != "model":
        models = ", ".join(entry.name for entry in WEIGHTS.values() if entry.role == "model")
        raise WeightsError(f"{name!r} is a part of a model, not one itself; choose {models}.")
    return find_weights(name)


def verify(name: str) -> tuple[str, str | None]:
    """Hash a file: the verdict, "right", "wrong", "unknown" or "not here", and its SHA-256.

    "unknown" is a file that nobody published a hash of and that was not fetched by `fetch`.

    Raises:
        WeightsError: unknown name, or a file that cannot be read.
    """
    entry = _entry(name)
    path, wanted = entry.path, _wanted(entry)
    if not path.is_file():
        return "not here", None
    try:
        digest = hash_file(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}).") from error
    if digest == wanted or digest in entry.twins:
        return "right", digest
    if wanted is None and digest.startswith(entry.begins):
        return "unknown", digest
    return "wrong", digest


def state(name: str) -> str:
    """Say "here", "not here" or "damaged" by size alone, at once; `verify` reads the file.

    Raises:
        WeightsError: unknown name.
    """
    entry = _entry(name)
    if not entry.path.is_file():
        return "not here"
    size = entry.bytes or _pin(entry).get("bytes")
    known = {size, *entry.twins.values()} - {None}
    return "damaged" if known and entry.path.stat().st_size not in known else "here"


def describe(name: str) -> dict[str, str | bool]:
    """All that a page shows of a file: it reads the size on disk, and starts nothing.

    Returns:
        name, purpose, size (text), licence, remark (or ""), citation, path, state as `state` says
        it, here (whether it is usable), and command, which fetches it.

    Raises:
        WeightsError: unknown name.
    """
    entry = _entry(name)
    now = state(name)
    here = entry.path.stat().st_size if now != "not here" else None
    return {
        "name": name,
        "purpose": entry.purpose,
        "size": size_text(entry.bytes or here),
        "licence": entry.licence,
        "remark": entry.remark,
        "citation": entry.citation,
        "path": str(entry.path),
        "state": now,
        "here": now == "here",
        "command": "" if entry.embedded else _command(name),
    }


def size_text(size: int | None) -> str:
    """A size to read: "1.13 GB", "40.7 MB", "6.01 kB"."""
    if size is None:
        return "size unknown"
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.3g} {unit}" if size < 999.5 * one else f"{size / one:.0f} {unit}"
    return f"{size} B"


def fetch(name: str, *, progress: Progress | None = None) -> tuple[Path, str]:
    """Download a file, unless it is here and right: its path and SHA-256.

    What has come lies beside the destination as NAME.part until its size and hash are right; a
    download that was cut goes on from there.

    Args:
        name: in WEIGHTS.
        progress: told about every piece.

    Raises:
        WeightsError: unknown name, no network, no room, another file than expected.
    """
    entry = _entry(name)
    verdict, digest = verify(name)
    if verdict == "right":
        return entry.path, digest
    if entry.url is None:
        raise WeightsError(f"The weights {name!r} ship with the product; check it out again.")
    part = _part(entry)
    if not _knows_hash(entry):
        part.unlink(missing_ok=True)  # pieces of two versions could not be told apart
    while not _download(entry, part, progress or (lambda done, total: None)):
        part.unlink(missing_ok=True)
    return _keep(entry, part, entry.url)


def copy_from(name: str, folder: Path) -> tuple[Path, str]:
    """Copy a file from a folder or any folder in it, checked as a download is: path and SHA-256.

    Raises:
        WeightsError: unknown name, no such file there, or another one than expected.
    """
    entry = _entry(name)
    verdict, digest = verify(name)
    if verdict == "right":
        return entry.path, digest
    found = sorted(folder.rglob(entry.file))
    if not found:
        raise WeightsError(f"There is no {entry.file} in {folder}.")
    for i, path in enumerate(found):
        part = _part(entry)
        try:
            _need_room(part.parent, path.stat().st_size)
            shutil.copyfile(path, part)
            return _keep(entry, part, str(path))
        except OSError as error:
            raise WeightsError(f"{path} cannot be copied ({error.strerror}).") from error
        except WeightsError:
            if i == len(found) - 1:
                raise
    raise AssertionError("the last one returns or raises")


def _entry(name: str) -> Weights:
    if name not in WEIGHTS:
        raise WeightsError(f"There are no weights named {name!r}; known are {', '.join(WEIGHTS)}.")
    return WEIGHTS[name]


def _command(name: str) -> str:
    return f"python -m ldsr weights fetch {name}"


def _pins() -> dict[str, dict]:
    """The hashes recorded at first downloads, by name, with size, source and time."""
    path = home() / "pins.json"
    try:
        pins = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(pin["sha256"], str) for pin in pins.values()):
            raise ValueError("a pin without a hash")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise WeightsError(
            f"{path} cannot be read ({error}); mend it, or delete it and fetch again."
        ) from error
    return pins


def _record(entry: Weights, digest: str, size: int, source: str) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    pins = _pins() | {
        entry.name: {"sha256": digest, "bytes": size, "source": source, "recorded": now}
    }
    path = home() / "pins.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name("pins.json.part")
    fresh.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def _pin(entry: Weights) -> dict:
    """What was recorded of a file that nobody published a hash of; else nothing."""
    return {} if entry.sha256 else _pins().get(entry.name, {})


def _wanted(entry: Weights) -> str | None:
    """The hash a file must have: published, else recorded, else None."""
    return entry.sha256 or _pin(entry).get("sha256")


def _knows_hash(entry: Weights) -> bool:
    return bool(_wanted(entry) or entry.begins)


def _part(entry: Weights) -> Path:
    """Where a download grows; its folder is made."""
    path = entry.places[0].with_name(entry.places[0].name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"Cannot make the folder {path.parent} ({error.strerror}); "
            "choose another by LDSR_HOME or TORCH_HOME."
        ) from error
    return path


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + SPARE:
        raise WeightsError(
            f"{folder} has {size_text(free)} free and needs {size_text(size + SPARE)}; make room."
        )


def _keep(entry: Weights, part: Path, source: str) -> tuple[Path, str]:
    """Check what has come and put it in its place; what is wrong is deleted."""
    size, digest, wanted = part.stat().st_size, hash_file(part), _wanted(entry)
    begins = wanted or entry.begins
    if not digest.startswith(begins) and digest not in entry.twins:
        part.unlink()
        pinned = entry.sha256 is None and wanted is not None
        more = f"; if the new version is meant, take it out of {home() / 'pins.json'}"
        raise WeightsError(
            f"{entry.file} from {source} has {size} bytes and the hash {digest[:12]}..., expected "
            f"{begins[:12]}...; it was not kept{more if pinned else ''}."
        )
    try:
        if wanted is None:
            _record(entry, digest, size, source)
        part.replace(entry.places[0])
    except OSError as error:
        raise WeightsError(f"Cannot write {entry.places[0]} ({error.strerror}).") from error
    return entry.places[0], digest


def _download(entry: Weights, part: Path, progress: Progress) -> bool:
    """Fetch what is missing of a file; False if what is here already is of no use.

    Raises:
        WeightsError: the server cannot be reached, refuses, or stops midway; no room.
    """
    import requests

    host = urlsplit(entry.url).hostname
    done = part.stat().st_size if part.exists() else 0
    if entry.bytes is not None and done >= entry.bytes:
        return done == entry.bytes
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        answer = requests.get(entry.url, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.RequestException as error:
        raise WeightsError(
            f"{host} cannot be reached ({type(error).__name__}); check the network, or copy "
            f"{entry.file} from another machine: {_command(entry.name)} --from FOLDER."
        ) from error
    with answer:
        if done and not _goes_on(answer, done):
            return False
        done = done if answer.status_code == 206 else 0
        total = _total(entry, answer, done)
        _need_room(part.parent, (total or 0) - done)
        cut = False
        try:
            with part.open("ab" if done else "wb") as file:
                for piece in answer.iter_content(CHUNK):
                    file.write(piece)
                    done += len(piece)
                    progress(done, total)
                    if total is not None and done > total:
                        break
        except requests.RequestException:
            cut = True
        except OSError as error:
            raise WeightsError(f"Cannot write {part} ({error.strerror}).") from error
    if cut or (total is not None and done < total):
        of = f" of {size_text(total)}" if total else ""
        then = "goes on from there" if _knows_hash(entry) else "begins again"
        raise WeightsError(f"{host} stopped after {size_text(done)}{of}; the same command {then}.")
    return True


def _goes_on(answer: object, done: int) -> bool:
    """Whether an answer to a request for the rest is of use: the rest, the whole, or an error.

    It is not where the server has no such rest (416), or sends another.
    """
    if answer.status_code == 206:
        return answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
    return answer.status_code != 416


def _total(entry: Weights, answer: object, done: int) -> int | None:
    """The size of the whole file as the server has it, or None.

    Raises:
        WeightsError: the server refuses, or has a file of another size.
    """
    status, host = answer.status_code, urlsplit(entry.url).hostname
    if status not in (200, 206):
        if status in (404, 410):
            why = f"{entry.url} is no longer there ({status})"
            how = f"find {entry.file} elsewhere and use {_command(entry.name)} --from FOLDER"
        elif status in (401, 403):
            why, how = f"{host} refuses {entry.file} ({status})", "look what its page asks for"
        else:
            why, how = f"{host} cannot send {entry.file} ({status})", "try again later"
        raise WeightsError(f"{why}; {how}.")
    length = answer.headers.get("Content-Length", "")
    total = done + int(length) if length.isdecimal() else entry.bytes
    if entry.bytes is not None and total != entry.bytes:
        raise WeightsError(
            f"{host} offers {total} bytes as {entry.file}, expected {entry.bytes}; it is another "
            "version or no such file, and was not fetched."
        )
    return total

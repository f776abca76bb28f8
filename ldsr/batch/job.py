"""Many patches: each super-resolved by a crew, written as by `run`, then a table and a gallery.

The client reads and writes, workers compute: patches travel to them and results come back. One
patch that fails does not end the others.
"""

import collections
import contextlib
import dataclasses
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ldsr.batch.gallery import is_foreign, write_gallery
from ldsr.batch.inputs import (
    Entry,
    Reading,
    identity,
    list_entries,
    one_printed_line,
    pixels,
    read_entry,
)
from ldsr.batch.pictures import draw_pictures
from ldsr.batch.records import (
    Record,
    kept,
    picture_name,
    read_sheet,
    recipe,
    share,
    write_table,
)
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.machine import stopped_by_sigterm
from ldsr.result import SuperResolution
from ldsr.scene.crew import Crew, gather_crew, one_line
from ldsr.scene.progress import Progress
from ldsr.scene.worker import LOCK, Machine, pipeline_for
from ldsr.settings import Settings
from ldsr.weights import find_model, size_text
from ldsr.writing import beside, make_folder, write_complete, write_result, write_sheet

READERS = 4
"""Patches that are read at a time, ahead of the crew: a catalogue takes its time."""
FINE = 16
"""Pixels of 2.5 m in one of 10 m."""
BANDS = {"sr": 4, "base": 4, "detail": 1, "uncertainty": 22}
"""Of the files, float32 each."""
PYRAMID = 4 / 3
"""With overviews."""
PICTURE_BYTES = 40
"""Of the small pictures, per pixel of the input."""
SPARE = 1 << 26
"""Bytes that shall be left free on the disk."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """What is to be done.

    Attributes:
        source: a folder of pictures or a table of places.
        out: folder of the results.
        settings: of every patch.
        machine: weights, and how they are computed.
        reading: how patches are read.
        scheduler, workers: who computes, see `gather_crew`.
        resume: leave alone what is complete and was made of the same.
        save_base: write the pictures of stage 1 too.
    """

    source: Path
    out: Path
    settings: Settings
    machine: Machine
    reading: Reading
    scheduler: str | None = None
    workers: int | None = None
    resume: bool = False
    save_base: bool = False

    @property
    def files(self) -> list[str]:
        """What is written of each patch."""
        wanted = {
            "sr": True,
            "base": self.save_base,
            "detail": self.settings.refine,
            "uncertainty": self.settings.samples > 0,
        }
        return [name for name, is_wanted in wanted.items() if is_wanted]


def resolve_patch(machine: Machine, settings: Settings, patch: Patch) -> SuperResolution | str:
    """Super-resolve one patch, on whichever machine this is.

    Returns:
        The result, or the sentence that says why there is none: it would say the same again.
    """
    try:
        pipeline = pipeline_for(machine)
        with LOCK:
            pipeline.check_memory(patch.size, settings)
            return pipeline(patch, settings)
    except LdsrError as error:
        return str(error)


def run_batch(batch: Batch) -> list[Record]:
    """Do a batch and write its table and its gallery, however it ends.

    Returns:
        What became of each patch, in the order of the source.

    Raises:
        LdsrError: nothing can be begun (bad source, no room, no weights, no workers), or it was
            stopped; what is finished by then stays.
    """
    entries = list_entries(batch.source)
    _check_out(batch)
    sha256 = find_model(batch.machine.weights)[1]
    work = _Work(batch, sha256, entries)
    todo = work.keep_finished() if batch.resume else entries
    _need_room(batch, todo)
    try:
        with stopped_by_sigterm():
            work.do(todo)
        work.progress.end("done")
    except KeyboardInterrupt:
        work.progress.end("stopped")
        done = sum(record.state in ("done", "kept") for record in work.records.values())
        raise LdsrError(
            f"Stopped after {done} of {len(entries)} pictures; the same command with --resume "
            "goes on."
        ) from None
    finally:
        if work.has_news:
            work.write_overview()
    return work.all_records()


class _Work:
    """A batch under way.

    Args:
        batch: what is to be done.
        sha256: of the weights, the same on every worker.
        entries: all patches.
    """

    def __init__(self, batch: Batch, sha256: str, entries: Sequence[Entry]) -> None:
        self.batch, self.sha256, self.entries = batch, sha256, entries
        self.records: dict[str, Record] = {}
        self.recipes: dict[str, str] = {}
        self.progress = Progress(unit="picture")
        self.has_news = False

    def all_records(self) -> list[Record]:
        """What became of each patch, in the order of the source."""
        why = "It was not begun; the same command with --resume goes on."
        return [
            self.records.get(entry.stem) or Record(entry=entry, state="left", sentence=why)
            for entry in self.entries
        ]

    def write_overview(self) -> None:
        """Write the table and the gallery."""
        batch, records = self.batch, self.all_records()
        write_table(batch.out, records)
        write_gallery(batch.out, records, settings=batch.settings, weights=batch.machine.weights)

    def keep_finished(self) -> list[Entry]:
        """Take over what an earlier run has finished; return the others."""
        todo = []
        for entry in self.entries:
            sheet = None
            with contextlib.suppress(OSError, LdsrError):
                made_by = self._recipe(entry)
                sheet = kept(self.batch.out, entry, made_by, self.batch.files)
            if sheet is None:
                todo.append(entry)
            else:
                self.records[entry.stem] = Record(entry=entry, state="kept", sheet=sheet)
        return todo

    def do(self, todo: Sequence[Entry]) -> None:
        """Compute and write patches as they come."""
        self.progress.begin(len(self.entries), done=len(self.entries) - len(todo))
        self.has_news = not todo
        if not todo:
            return
        by_stem = {entry.stem: entry for entry in todo}
        with gather_crew(scheduler=self.batch.scheduler, workers=self.batch.workers) as crew:
            for outcome in self._outcomes(crew, todo):
                entry = by_stem[outcome.key]
                if outcome.error or isinstance(outcome.value, str):
                    self._failed(entry, outcome.error or outcome.value)
                else:
                    self._finish(entry, outcome.value)

    def _outcomes(self, crew: Crew, todo: Sequence[Entry]) -> Iterator:
        how = self.batch.machine, self.batch.settings
        with contextlib.closing(_read_ahead(todo, self._read)) as read:
            tasks = ((entry.stem, (*how, patch)) for entry, patch in self._readable(read))
            yield from crew.run(resolve_patch, tasks)

    def _readable(self, read: Iterator[tuple[Entry, Future]]) -> Iterator[tuple[Entry, Patch]]:
        for entry, future in read:
            try:
                patch = future.result()
            except Exception as error:  # a damaged file must not take the others with it
                self._failed(entry, one_line(error))
                continue
            yield entry, patch

    def _read(self, entry: Entry) -> Patch:
        if entry.stem not in self.recipes:
            self._recipe(entry)
        return read_entry(entry, self.batch.reading)

    def _recipe(self, entry: Entry) -> str:
        asked = identity(entry, self.batch.reading)
        made_by = recipe(asked, self.batch.settings, self.batch.machine.weights, self.sha256)
        self.recipes[entry.stem] = made_by
        return made_by

    def _finish(self, entry: Entry, result: SuperResolution) -> None:
        """Write the files of a result, its run sheet last."""
        try:
            if result.weights_sha256 != self.sha256:
                raise LdsrError(
                    f"The weights {self.batch.machine.weights!r} of a worker are others than those "
                    "here; install the same version everywhere."
                )
            self._write(entry, result)
        except Exception as error:  # a full disk for one may have room for the next
            self._failed(entry, one_line(error))
            return
        sheet = read_sheet(self.batch.out, entry)
        self.records[entry.stem] = Record(entry=entry, state="done", sheet=sheet)
        self.has_news = True
        self.progress.step()

    def _write(self, entry: Entry, result: SuperResolution) -> None:
        stem = self.batch.out / entry.stem
        _remove_earlier(self.batch.out, entry)
        files = write_result(result, stem, save_base=self.batch.save_base)
        pictures = draw_pictures(result)
        for name, content in pictures.items():
            write_complete(self.batch.out / picture_name(entry, name), content)
        made_by = self.recipes[entry.stem]
        more = share(self.batch.out, entry, made_by, files=files, pictures=pictures)
        write_sheet(result, stem, more=more)

    def _failed(self, entry: Entry, sentence: str) -> None:
        sentence = one_printed_line(sentence)
        self.records[entry.stem] = Record(entry=entry, state="failed", sentence=sentence)
        self.has_news = True
        self.progress.end(self.progress.state)  # the line before this one
        print(f"ldsr: {entry.name}: {sentence}", file=sys.stderr, flush=True)
        self.progress.step(failed=True)


def _read_ahead(
    entries: Sequence[Entry], read: Callable[[Entry], Patch]
) -> Iterator[tuple[Entry, Future]]:
    """Read entries in threads, a few ahead of who asks for them, and give them in their order."""
    pool, todo, waiting = ThreadPoolExecutor(READERS), iter(entries), collections.deque()
    try:
        while True:
            for entry in itertools.islice(todo, READERS - len(waiting)):
                waiting.append((entry, pool.submit(read, entry)))
            if not waiting:
                return
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _remove_earlier(folder: Path, entry: Entry) -> None:
    """Take away what an earlier run left of a patch, its run sheet first: it says all is well."""
    sheet = read_sheet(folder, entry)
    if sheet is None:
        return
    beside(folder / entry.stem, ".json").unlink(missing_ok=True)
    earlier = Record(entry=entry, state="kept", sheet=sheet)
    for name in (*earlier.pictures.values(), *earlier.files.values()):
        (folder / name).unlink(missing_ok=True)


def _check_out(batch: Batch) -> None:
    """Make the folders of the results, and see that they may be written.

    Raises:
        LdsrError: they may not, or something else lies there.
    """
    out, source = batch.out, batch.source
    if source.is_dir() and out.resolve() == source.resolve():
        raise LdsrError(
            f"--out is the folder of the pictures themselves ({out.name or out}): its results "
            "would be taken for pictures next time; choose another --out."
        )
    make_folder(out)
    if is_foreign(out):
        raise LdsrError(
            f"There is an index.html in {out.name or out} that no batch has written; choose "
            "another --out."
        )
    make_folder(out / "pictures")
    probe = out / ".ldsr-probe"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise LdsrError(
            f"{out} cannot be written ({error.strerror}); choose another --out."
        ) from error


def _need_room(batch: Batch, todo: Sequence[Entry]) -> None:
    """See that the disk has room for all that is to be written, were nothing compressed.

    Raises:
        LdsrError: it has not.
    """
    bands = sum(BANDS[name] for name in batch.files)
    each = bands * FINE * 4 * PYRAMID + PICTURE_BYTES
    needed = int(sum(pixels(entry, batch.reading) for entry in todo) * each)
    free = shutil.disk_usage(batch.out).free
    if todo and free < needed + SPARE:
        raise LdsrError(
            f"{batch.out} has {size_text(free)} free, but {len(todo)} pictures may need "
            f"{size_text(needed + SPARE)}; make room, or choose another --out."
        )

"""Who does the work: this process, worker processes of this machine, or a Dask cluster.

Knows nothing of pictures: functions and their arguments go out, outcomes come back, in any order.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Protocol

from ldsr.errors import LdsrError
from ldsr.machine import limit_threads, local_workers

if TYPE_CHECKING:
    from distributed import Client, Future

RETRIES = 2
"""A task that raised is tried so often again."""
AHEAD = 2
"""Tasks that wait at a worker for each of its threads, one of them at work."""
PATIENCE = 30.0
"""Seconds to wait for a scheduler, or for the first worker."""
BEAT = 5.0
"""Seconds after which to look whether there are workers at all."""
MOST_LINE = 300

Task = tuple[Hashable, tuple]
"""What tells an outcome from others, and the arguments."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a task: its value, or one line that says why there is none."""

    key: Hashable
    value: Any = None
    error: str = ""


class Crew(Protocol):
    """Somebody who works through tasks."""

    workers: int

    def run(self, function: Callable, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Apply a function to the arguments of each task; a bounded number is under way at once.

        Tasks are taken from `tasks` as they are needed. One that fails is tried again RETRIES
        times. Where the caller stops listening, what is under way is dropped.

        Raises:
            LdsrError: nobody is left to work.
        """


@contextlib.contextmanager
def gather_crew(*, scheduler: str | None = None, workers: int | None = None) -> Iterator[Crew]:
    """Bring workers together.

    Args:
        scheduler: address of a running Dask scheduler, such as "tcp://10.0.0.5:8786".
        workers: processes on this machine where there is no scheduler; 0 works in this process,
            None takes what the machine can bear.

    Raises:
        LdsrError: a scheduler that does not answer, has no workers, or whose workers do not know
            this program.
    """
    if scheduler is not None:
        if workers is not None:
            raise LdsrError(
                f"--workers {workers} starts processes here, --scheduler {scheduler} uses those of "
                "a cluster; give one of the two."
            )
        with _connected(scheduler) as client:
            yield Cluster(client, f"The scheduler at {scheduler}")
        return
    if workers is None:
        workers, threads = local_workers()
    elif workers < 0:
        raise LdsrError(f"--workers is {workers}; expected 0 (this process) or more.")
    else:
        threads = local_workers(workers)[1]
    if workers == 0:
        limit_threads()
        yield Here()
        return
    with _local(workers, threads) as client:
        yield Cluster(client, "The local cluster")


class Here:
    """This process, one task after the other."""

    workers = 1

    def run(self, function: Callable, tasks: Iterable[Task]) -> Iterator[Outcome]:
        for key, arguments in tasks:
            for attempt in range(RETRIES + 1):
                try:
                    outcome = Outcome(key, function(*arguments))
                    break
                except Exception as error:  # a window must not take the scene with it
                    outcome = Outcome(key, error=one_line(error))
                    if attempt == RETRIES:
                        break
            yield outcome


class Cluster:
    """Workers of a Dask scheduler, which itself hands on what dead or lost workers had.

    Args:
        client: connected.
        who: the scheduler, as a message names it.
    """

    def __init__(self, client: "Client", who: str) -> None:
        self._client = client
        self._who = who
        self.workers = len(client.nthreads())

    def run(self, function: Callable, tasks: Iterable[Task]) -> Iterator[Outcome]:
        todo, under_way = iter(tasks), {}
        lonely = 0.0
        try:
            while True:
                self._hand_out(function, todo, under_way)
                if not under_way:
                    return
                ended = self._ended(list(under_way))
                lonely = lonely + BEAT if not ended and not self._count() else 0.0
                if lonely >= PATIENCE:
                    raise LdsrError(
                        f"{self._who} has had no workers for {lonely:.0f} s; start some and go on "
                        "with --resume."
                    )
                for future in ended:
                    yield self._outcome(future, under_way.pop(future))
        finally:
            for future in under_way:
                with contextlib.suppress(Exception):
                    future.cancel()

    def _hand_out(
        self, function: Callable, todo: Iterator[Task], under_way: "dict[Future, Hashable]"
    ) -> None:
        places = AHEAD * max(1, self._count())
        while len(under_way) < places:
            task = next(todo, None)
            if task is None:
                return
            key, arguments = task
            future = self._client.submit(function, *arguments, pure=False, retries=RETRIES)
            under_way[future] = key

    def _ended(self, futures: "list[Future]") -> "list[Future]":
        """Wait for the first to end, at most BEAT seconds."""
        from distributed import wait

        # cancelled: the scheduler is gone, as `_outcome` will say
        with self._client.as_current(), contextlib.suppress(TimeoutError, CancelledError):
            wait(futures, timeout=BEAT, return_when="FIRST_COMPLETED")
        return [future for future in futures if future.done()]

    def _outcome(self, future: "Future", key: Hashable) -> Outcome:
        if future.status in ("cancelled", "lost"):
            raise self._gone()
        if future.status == "error":
            return Outcome(key, error=one_line(future.exception()))
        try:
            return Outcome(key, future.result())
        except Exception as error:
            return Outcome(key, error=one_line(error))

    def _count(self) -> int:
        """Threads of all workers there are now: some may have come, others gone."""
        try:
            workers = self._client.nthreads()
        except Exception:
            raise self._gone() from None
        self.workers = len(workers)
        return sum(workers.values())

    def _gone(self) -> LdsrError:
        return LdsrError(f"{self._who} is gone; start it again and go on with --resume.")


@contextlib.contextmanager
def _connected(address: str) -> "Iterator[Client]":
    """A client of a running scheduler with at least one worker that can do the work."""
    from distributed import Client

    quiet_dask()
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # Dask raises OSError, TimeoutError, ValueError, ImportError
        raise LdsrError(
            f"No Dask scheduler answers at {address!r} ({type(error).__name__}); expected an "
            "address such as tcp://host:8786 of a scheduler that runs."
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except Exception:
            raise LdsrError(
                f"The scheduler at {address} has no workers after {PATIENCE:.0f} s; start some "
                f"with: dask worker {address}"
            ) from None
        _check_able(client, address)
        yield client


def _check_able(client: "Client", address: str) -> None:
    """Have the workers import what the work needs; one that leaves meanwhile is not missed.

    Raises:
        LdsrError: one of them cannot, or none answers.
    """
    from distributed.comm import CommClosedError

    found = ()
    with contextlib.suppress(OSError):  # the scheduler has gone
        found = client.run(able, on_error="return").values()
    told = [one for one in found if not isinstance(one, CommClosedError)]
    if not told:
        raise LdsrError(
            f"The workers at {address} do not answer; see whether they run, then start again."
        )
    for error in (one for one in told if isinstance(one, Exception)):
        raise LdsrError(
            f"The workers at {address} cannot run this program ({one_line(error)}); install "
            "its requirements there and start them in the repository's folder."
        )


@contextlib.contextmanager
def _local(workers: int, threads: int) -> "Iterator[Client]":
    """A cluster of worker processes on this machine, gone with the block."""
    from distributed import Client, LocalCluster

    quiet_dask()
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            # what torch holds is no data of Dask's: it could only kill the worker for it
            memory_limit=0,
            silence_logs=logging.CRITICAL,
            env={"LDSR_THREADS": str(threads)},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def quiet_dask() -> None:
    """Keep Dask's own log off standard error: what matters of it becomes a sentence of ours."""
    import dask

    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
    for name in ("distributed", "bokeh", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def able() -> bool:
    """Whether a worker has what the work needs: importing this has shown it, but for torch."""
    import importlib

    importlib.import_module("ldsr.scene.worker")
    return True


def one_line(error: BaseException | None) -> str:
    """What went wrong, on one line."""
    if isinstance(error, LdsrError):
        return str(error)
    if type(error).__name__ == "KilledWorker":
        return f"its workers died, {error.allowed_failures + 1} in all; they may lack memory"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:MOST_LINE] if text else type(error).__name__

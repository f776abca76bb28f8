"""For whoever watches the server: /healthz says whether it works, /metrics how much it does.

Metrics are in Prometheus' text format, from a registry of this server alone; no label tells of a
person. Who may read them is `ldsr.web.hosting.login`'s business.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import ldsr
from ldsr.web.studio import Studio

HEALTHZ, METRICS = "/healthz", "/metrics"
_FRESH = {"Cache-Control": "no-store"}


def health_routes(studio: Studio) -> list[Route]:
    """List the two routes."""
    registry = CollectorRegistry()
    for metric in studio.ledger.metrics:
        registry.register(metric)
    registry.register(Gauges(studio))
    ProcessCollector(registry=registry)

    async def healthz(_: Request) -> Response:
        found = health(studio)
        well = found["status"] in ("ok", "loading")
        return JSONResponse(found, 200 if well else 503, headers=_FRESH)

    async def metrics(_: Request) -> Response:
        text = await run_in_threadpool(generate_latest, registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST, headers=_FRESH)

    return [Route(HEALTHZ, healthz), Route(METRICS, metrics)]


def health(studio: Studio) -> dict[str, str]:
    """Say how the server is.

    Returns:
        "status": ok, loading, failed (the model could not be read) or stopping; "model": loaded,
        loading or failed; "version".
    """
    model = model_state(studio.pipeline)
    status = "stopping" if studio.ledger.closed else {"loaded": "ok"}.get(model, model)
    return {"status": status, "model": model, "version": ldsr.__version__}


def model_state(pipeline: Any) -> str:
    """Whether a model is loaded, loading or failed; one that was read at once is loaded."""
    state = getattr(pipeline, "state", "loaded")
    return state if state in ("loading", "failed") else "loaded"


class Gauges:
    """What is measured when somebody asks.

    Args:
        studio: the server's state.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def collect(self) -> Iterator[Metric]:
        """Measure."""
        studio, ledger = self._studio, self._studio.ledger
        about = {"version": ldsr.__version__, "weights": str(studio.pipeline.name)}
        info = GaugeMetricFamily("ldsr_info", "What runs here.", labels=about)
        info.add_metric(list(about.values()), 1)
        yield info
        loaded = model_state(studio.pipeline) == "loaded"
        yield GaugeMetricFamily("ldsr_model_loaded", "1 once the model is read.", int(loaded))
        uptime = time.time() - ledger.begun
        yield GaugeMetricFamily("ldsr_uptime_seconds", "Since the server began.", uptime)
        yield GaugeMetricFamily("ldsr_queue_length", "Runs in the line.", ledger.waiting)
        yield GaugeMetricFamily("ldsr_runs_running", "Runs being computed.", ledger.running)
        jobs = GaugeMetricFamily("ldsr_scene_jobs", "Scene jobs kept here.", labels=["state"])
        for state, count in studio.scene_jobs.states().items():
            jobs.add_metric([state], count)
        yield jobs
        yield from _gpu_memory()


def _gpu_memory() -> Iterator[Metric]:
    """Bytes on the GPUs that torch uses; torch is never loaded for it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return
    found = GaugeMetricFamily(
        "ldsr_gpu_memory_bytes",
        "Memory of a GPU: allocated by tensors, reserved by the program, total.",
        labels=["device", "kind"],
    )
    for index in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(index).total_memory
        found.add_metric([str(index), "allocated"], torch.cuda.memory_allocated(index))
        found.add_metric([str(index), "reserved"], torch.cuda.memory_reserved(index))
        found.add_metric([str(index), "total"], total)
    yield found

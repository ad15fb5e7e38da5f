"""What the way through HTTP and Ray adds: to a cached answer, and to the engine in process."""

import itertools
import time
from collections.abc import Callable

import httpx

from model_core.checkpoint import default_checkpoint
from model_core.config import preset_exits
from model_core.predictor import Predictor
from model_core.preprocessing import decode_photo
from serve.engine import Engine, EngineLimits
from serve.load.calls import make_body
from serve.load.client import NO_CACHE
from serve.load.latencies import percentile
from serve.settings import ServeSettings
from tools.serving_bars.noop import PATH, start_noop
from tools.serving_bars.records import Check, Record
from tools.serving_bars.stand import Plan, record, running

NUM_WARM = 5
MAX_PIXELS = 40_000_000
HEADERS = {"content-type": "application/json"}
POLICY = "balanced"


def measure_cached(plan: Plan) -> Record:
    """The answer that is kept, beside a deployment that does nothing with the same body."""
    body = make_body("caption", plan.photos.jpeg(plan.seed), {"policy": POLICY})
    with running(plan) as cluster:
        start_noop()
        with httpx.Client(base_url=cluster.address, headers=HEADERS, trust_env=False) as client:
            times = alternate(
                [lambda: post(client, f"{PATH}/", body), lambda: post(client, "/v1/caption", body)],
                plan.seconds,
            )
    noop, cached = (1e3 * percentile(values, 0.5) for values in times)
    check = Check(
        what="cached answer, p50 over the no-op (ms)",
        value=cached - noop,
        limit=2.0,
        is_at_most=True,
    )
    rows = [_row("no-op", times[0]), _row("cached answer", times[1])]
    return record("cached", [check], rows, {"policy": POLICY, "callers": 1})


def measure_hop(plan: Plan) -> Record:
    """Uncached captions over HTTP and of the same engine here, one after the other, in turns."""
    settings = ServeSettings.resolve({**plan.settings, "cache": False})
    predictor = Predictor.load(
        settings.checkpoint or default_checkpoint(), num_threads=settings.num_threads
    )
    engine = Engine(lambda: predictor.new_slots(settings.num_slots), EngineLimits())
    headers = {**HEADERS, **NO_CACHE}
    try:
        with (
            running(plan, cache=False) as cluster,
            httpx.Client(base_url=cluster.address, headers=headers, trust_env=False) as client,
        ):
            pair = _SamePhoto(plan, client, predictor, engine)
            times = alternate([pair.over_http, pair.in_process], plan.seconds, pair.clock)
    finally:
        engine.close()
    return _hop_record(times)


class _SamePhoto:
    """Asks about a new photo over HTTP, then about the same one here."""

    def __init__(
        self, plan: Plan, client: httpx.Client, predictor: Predictor, engine: Engine
    ) -> None:
        self.clock = Stopwatch()
        self._photos = plan.photos
        self._numbers = itertools.count(plan.seed)
        self._client = client
        self._predictor = predictor
        self._engine = engine
        self._exits = preset_exits(POLICY, "caption", predictor.info.depths)
        self._photo = b""

    def over_http(self) -> None:
        self._photo = self._photos.jpeg(next(self._numbers))
        body = make_body("caption", self._photo, {"policy": POLICY})
        with self.clock:
            post(self._client, "/v1/caption", body)

    def in_process(self) -> None:
        with self.clock:
            photo = decode_photo(self._photo, MAX_PIXELS)
            request = self._predictor.request("caption", photo, self._exits)
            self._engine.submit(request).result(timeout=60)


def _hop_record(times: list[list[float]]) -> Record:
    api_ms, engine_ms = (1e3 * percentile(values, 0.5) for values in times)
    added_ms, share = api_ms - engine_ms, api_ms / engine_ms - 1
    checks = [
        Check(what="API p50 over the engine (ms)", value=added_ms, limit=5.0, is_at_most=True),
        Check(what="API p50 over the engine (share)", value=share, limit=0.1, is_at_most=True),
    ]
    rows = [_row("API", times[0]), _row("engine in process", times[1])]
    return record("hop", checks, rows, {"policy": POLICY, "callers": 1})


class Stopwatch:
    """Seconds within its ``with`` blocks, the last one kept."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started


def alternate(
    actions: list[Callable[[], None]], seconds: float, clock: Stopwatch | None = None
) -> list[list[float]]:
    """Seconds that each action took, in turns so that a slow moment hits all; warm ones first.

    ``clock`` is one that the actions use themselves; without one, all of an action counts.
    """
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(NUM_WARM):
        for action in actions:
            action()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or not times[0]:
        for action, values in zip(actions, times, strict=True):
            outer = Stopwatch()
            with outer:
                action()
            taken = outer.seconds if clock is None else clock.seconds
            assert taken is not None
            values.append(taken)
    return times


def post(client: httpx.Client, path: str, body: bytes) -> None:
    """Sends a body, and reads the answer.

    Raises:
        httpx.HTTPStatusError: It is not a success.
    """
    client.post(path, content=body).raise_for_status()


def _row(name: str, times: list[float]) -> dict[str, float | int | str | None]:
    percentiles = {
        f"p{share:.0%}".rstrip("%") + " ms": 1e3 * percentile(times, share) for share in (0.5, 0.95)
    }
    return {"": name, "requests": len(times), **percentiles}

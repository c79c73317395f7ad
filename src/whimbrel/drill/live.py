"""The demo's app as an app is: one request at a time, recorded by the public `Recorder`, waiting for real.

In: requests, the healthy app, and the app that serves those hit by a fault. Out: nothing but what the recorder wrote.
The same steps run here as in `app.serve`; the services that an app would wait for are waited for, only faster than in
life (`HASTE`), so that every span is a measured one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from whimbrel.drill.app import App, timeline
from whimbrel.drill.columns import Bools, Columns, Request
from whimbrel.record import Recorder

HASTE = 40.0
"""How many times faster than in life the queue and the services answer."""


class Remote:
    """A service as seen from the app: it answers after a while."""

    def __init__(self, service: Any, ms: Mapping[str, float], name: str) -> None:
        self._service = service
        self._wait = ms[f"spans.{name}"]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if name not in ("of", "carrier_delay"):
            return found

        def answer(*args: Any) -> Any:
            _wait(self._wait)
            return found(*args)

        return answer


class Line:
    """One version of the app behind a recorder: `answer` serves a request."""

    def __init__(self, app: App, recorder: Recorder) -> None:
        self._app = app
        self._recorder = recorder
        self._steps: dict[str, Callable[..., dict[str, Any]]] = {
            step: recorder.step(step)(run) for step, run in app.steps
        }

    def answer(self, request: Request) -> Any:
        """Serve one request; what was decided."""
        app, ms = self._app, timeline(self._app, request)
        context = {"host": request["hardware.host"], **_group(request, "context.")}
        inputs = _group(request, "inputs.")
        with self._recorder.prediction(inputs, id=request["id"], ts=request["ts"], **context) as p:
            seen = dict(request)
            with p.span("queue"):
                _wait(ms["spans.queue"])
            for step, run in self._steps.items():
                given = {"source": Remote(app.sources[step], ms, step)} if step in app.sources else {}
                values = run(seen, **given)
                seen.update((f"steps.{step}.{name}", value) for name, value in values.items())
            route = "canary" if request["luck.route"] < app.canary_share else "stable"
            model = app.canary if route == "canary" else app.model
            p.model(version=model.version, digest=model.digest, precision=model.precision, variant=app.variant)
            with p.span("score"):
                margin = float(model(seen))
            with p.span("calibrate"):
                score = float(app.calibrate(margin))
            p.output(margin=margin, score=score)
            with p.span("decide"):
                decision = str(app.decide(score))
            if request["luck.fail"] < app.fails:
                p.error("RulesTimeout")
                decision = "keep"
            p.decision(decision, route=route)
            p.age(
                airport_delay=request["ts"] % 300,
                weather=request["ts"] % 3600,
                carrier_delay=app.sources["history"].age(request),
            )
            p.usage(energy_j=float(ms["spans.total"] * (0.055 + 0.002 * request["luck.watts"])))
        return decision


def serve_live(
    recorder: Recorder, requests: Columns, healthy: Any, broken: Any, hit: Bools, *, seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> None:  # fmt: skip
    """Serve every request and record it.

    They are served in random order under their own times: what else this machine does meanwhile then touches all days
    alike, and no slow minute of it looks like a fault.
    """
    lines = {False: Line(healthy, recorder), True: Line(broken, recorder)}
    columns = {path: column.tolist() for path, column in requests.items()}
    order = np.random.default_rng(seed).permutation(len(hit))
    for done, i in enumerate(order.tolist()):
        request = {path: _plain(column[i]) for path, column in columns.items()}
        lines[bool(hit[i])].answer(request)
        if progress is not None and done % 200 == 0:
            progress(done / len(hit))


def _group(request: Request, prefix: str) -> dict[str, Any]:
    return {path.removeprefix(prefix): value for path, value in request.items() if path.startswith(prefix)}


def _plain(value: Any) -> Any:
    """A request says nothing where it has nothing: None, as in JSON."""
    return None if value != value else value


def _wait(ms: float) -> None:
    if ms == ms:
        time.sleep(ms / 1000 / HASTE)

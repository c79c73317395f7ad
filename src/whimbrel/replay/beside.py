"""Several pipelines on the same recorded predictions: each beside what was recorded, and golden's code against the declared one.

In: a log and pipelines. Out: a `Beside`. `cli/` and notebooks may call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from whimbrel.model.swap import Beside
from whimbrel.replay.apart import LIMIT_S
from whimbrel.replay.parity import replay, sampled
from whimbrel.replay.swap import swap

if TYPE_CHECKING:
    from whimbrel.store import Log


def beside(
    log: Log, pipelines: Sequence[Any], *, golden_pipeline: Any = None, free: bool = False, limit_s: float = LIMIT_S,
    **chosen: Any,
) -> Beside:  # fmt: skip
    """Judge several pipelines on the same predictions; with golden's code named, share out what the first has otherwise.

    Args:
        log: the log.
        pipelines: as `parity` takes one.
        golden_pipeline: golden's code; it is judged last, and mixed with the first pipeline artefact by artefact.
        free: hand no recorded value on.
        limit_s: seconds that each replay may take.
        chosen: which predictions, as `parity` takes them: `app`, `window`, `golden`, `golden_window`, `n`, `ids`, `engine`.

    Raises:
        UsageError: no such app or golden.
        EvidenceError: there is nothing to replay.
        InputError: a pipeline cannot be loaded.
    """
    taken = sampled(log, **chosen)
    codes = [*pipelines, *([golden_pipeline] if golden_pipeline is not None else [])]
    answers = tuple(
        replay(taken.app, code, taken.records, taken.golden, free=free, limit_s=limit_s, spans=taken.spans)
        for code in codes
    )
    names = tuple(named(code) for code in codes)
    if golden_pipeline is None:
        return Beside(names, answers)
    matrix = swap(
        codes[0], golden_pipeline, taken.records, before=taken.golden, limit_s=limit_s, names=(names[0], names[-1])
    )
    return Beside(names, answers, matrix)


def named(pipeline: Any) -> str:
    """How a person calls a pipeline: by the text that names it, or by its own name."""
    return pipeline if isinstance(pipeline, str) else getattr(pipeline, "__name__", type(pipeline).__name__)

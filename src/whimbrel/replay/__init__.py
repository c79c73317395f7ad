"""Recorded inputs through other code: the strongest evidence there is. Where do they first differ?

In: a log and a pipeline, or flat records. Out: a `Parity`. `diagnose/` and `cli/` may call. The rooms inside:

    pipelines     what code can be replayed: functions, scikit-learn (`sklearn`), ONNX (`onnx`), PyTorch (`torch`), HTTP
    played        what the code made of them, in columns
    replayed      one prediction that runs again under the recorder's own `step` and `read`
    apart         the process of its own in which named code runs
    judged        replayed columns beside recorded ones; `noise` says what rounding may do, `shapes` what kind of change it is
    parity        the question as a whole; `beside` asks it of several pipelines at once
    swap          two pipelines mixed artefact by artefact (`hybrid`): which of a declared change's parts did what; `artefacts`
                  says what each has otherwise, code or parameters
    rescore       raw inputs put back to golden's (`couple`) and re-scored; `outcome` says what came of it
    sessions      predictions that went wrong, kept with what a later run must give (`expect`); `export` makes a test of them,
                  `bisect` finds the commit (`commits`), the model or the data version from which on they fail
"""

from whimbrel.replay.beside import beside, named
from whimbrel.replay.parity import drawn, parity, replay, sampled
from whimbrel.replay.pipelines import Pipeline, pipeline_of
from whimbrel.replay.played import Played
from whimbrel.replay.rescore import feeds, rescore
from whimbrel.replay.swap import departed, swap

__all__ = [
    "Pipeline", "Played", "beside", "departed", "drawn", "feeds", "named", "parity", "pipeline_of", "replay", "rescore", "sampled",
    "swap",
]  # fmt: skip

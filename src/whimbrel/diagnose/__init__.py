"""Which layer broke, which component, for whom, since when: from two windows of predictions to one sentence with its proof.

In: a window and a golden window, as tables, as a log, or as `Rows`. Out: a `Report`. `cli/`, `drill/`, notebooks and tests
may call. The rooms inside, in the order in which a case goes through them:

    case          both windows side by side, as variables, dimensions and blocks of time; `kinds` adds inputs of few values to the dimensions,
                  `dates` how many days ago a date was, `arranged` in which order a list came
    relations     what golden teaches about a field given its upstream; `boundaries` asks every field, `hopes` says for which a model is worth
                  fitting (`models` are loaded only then), `support` on which rows it may be believed, `straight` what a plain sum tells
                  beforehand, `sparse` which few numbers sum up to it, `rules` what decides a category, `composed` what a name is put together
                  from, `crosstabs` what two categories say together, `districts` what codes that begin alike have in common, `pairs` which two
                  numbers one reads as one, `tallies` what counts nulls, `rounding` how near is equal; `history` reads what was made of a
                  `series`' own past, `clocks` local hours
    contracts     what golden always kept about a single field, `due` about a day that all are given; `surroundings` and `labels` likewise for
                  theirs, `judged` for what labels say, `arrivals` for when they come, `agreeing` for those that never correct, `thinned` for
                  what of them is lost, `readings` for whose they are by golden's `terms`; `feeds`, `senders`, `copies` and `columns` know what
                  only a broken source does to numbers, texts, what is a tag as well and what stands in another column, `misread` what a reader
                  does to numbers in texts, `ids` to keys, `bygone` what a store does that goes back to an older version, `carried` a form
                  that keeps its last entry, `spells` what is stuck for some minutes; `atoms` are single values that stand out, `fills` what
                  a step does where it falls back, `vanished` decisions that are taken no more, `caps` those taken too often
    visits        who comes, stays and goes (patients, sessions), and what is asked about again and again (products): few witnesses, which
                  the scan and `keys` ask
    scan          which departures are more than golden's own, and in which slice; `absence` asks again about nulls that
                  the rest of the row explains, `focus` about two models that answer side by side; `matrices` are its sums, `wobble` its noise,
                  `whom` its slices
    unwritten     rows that never came where each key brings one at every tick; `withheld` those of one decision
    suspects      slice, onset and proof of each component that departs; `shapes` gives the change its name, `state` knows
                  what is the weather's, `walks` what goes on from where it stood, `tables` what it proves that inputs came apart,
                  `ground` where a model proves nothing, `untold` what moved though nothing recorded foretells it
    causes        who did it, who passed it on, what is merely traffic; `followers` tells who moved first,
                  `displaced` whose request a value belongs to, `refuted` which input moved and nothing came of it,
                  `exchanged` which output stands in another's place, `machines` whether a host errs, `crossing` which of several
                  inputs it is, `unrecorded` and `misrecorded` what the log alone got wrong, `sources` what was stale,
                  `spared` which answers nobody worked out
    harm          what it did to decisions, score, time and cost; `releases` judges a model that is meant to answer otherwise
    several       a slice of several values, where these say it better than one or all traffic
    verdict       the chain as a whole; `words` and `drawing` say and show it
"""

import sys
from types import ModuleType
from typing import Any

from whimbrel.diagnose.doors import diagnose, diagnose_log, replayed
from whimbrel.diagnose.verdict import diagnose_rows
from whimbrel.model.report import Report

__all__ = ["diagnose", "diagnose_log", "diagnose_rows", "replayed"]


class _Room(ModuleType):
    """`whimbrel.diagnose` is this room and the question at once, whichever was imported first."""

    def __call__(
        self, golden: Any, window: Any, *, events: Any = None, app: str = "table", pipeline: Any = None,
        golden_pipeline: Any = None,
    ) -> Report:  # fmt: skip
        return diagnose(golden, window, events=events, app=app, pipeline=pipeline, golden_pipeline=golden_pipeline)


sys.modules[__name__].__class__ = _Room

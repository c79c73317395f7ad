"""Mixtures of two pipelines: some steps of the one in the place of the other's, without a cut into either's code.

In: how to run each, and flat records. Out: what each makes of the raw inputs once some of golden's steps have been swapped for the
declared code's. Only `swap.py` may call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeAlias

from whimbrel.replay.judged import step_of
from whimbrel.replay.parity import known
from whimbrel.replay.played import Played
from whimbrel.replay.record import Record, gap
from whimbrel.replay.shapes import shape

Run: TypeAlias = Callable[[Sequence[Record], bool], tuple[str, Sequence[Played]]]
"""Runs records through one of the two: what it is in words, and its answers. The flag: hand no value on."""

Names: TypeAlias = tuple[str, ...]
Made: TypeAlias = dict[str, Record]
"""What was made of one prediction: the leaves of each step by the step's name, `outputs` and `decision` among them."""

_SAME = 1e-9
_AGAIN = 40


class Hybrid:
    """Golden's code with steps of the declared code swapped in; each mixture is run once and kept.

    Args:
        declared: runs records through the declared code.
        golden: runs them through golden's.
        records: flat records; their steps serve only to say what was read and what no code here makes.
    """

    def __init__(self, declared: Run, golden: Run, records: Sequence[Record]) -> None:
        self._declared, self._golden = declared, golden
        self.notes: list[str] = []
        self._kinds: dict[Run, str] = {}
        given = known(records)
        first, shaky = self._free(golden, given)
        second, shaky_too = self._free(declared, given)
        whole = [i for i in range(len(given)) if not first[i].failed and not second[i].failed]
        if len(whole) < len(given):
            n = len(given) - len(whole)
            self.notes.append(f"{n} of {len(given)} predictions fail in one of the two and are left out")
        self._reads = {f"steps.{name}" for record in records for name in record.get("recorder.reads", ())}
        old, new = ([self._by_step(answers[i].out) for i in whole] for answers in (first, second))
        self.labels = [records[i].get("label") for i in whole]
        mine = {step for made in (*old, *new) for step in made if step.startswith("steps.")}
        mine |= {"outputs", "decision"}
        self.records = [{p: v for p, v in given[i].items() if step_of(p) not in mine} for i in whole]
        self._example = [given[i] for i in whole[:1]]
        self.order = tuple(dict.fromkeys(s for made in old for s in made if s.startswith("steps.")))
        self._unstable = shaky | shaky_too
        self._made: dict[frozenset[str], list[Made]] = {frozenset(): old}
        self._ends: dict[frozenset[str], list[Record]] = {}
        self._beside = self._declared_on(frozenset())
        self.changed = self._compared()

    def prepare(self, swapped: Iterable[frozenset[str]], ends: Collection[frozenset[str]] = ()) -> None:
        """Run all these mixtures, a few runs for each changed step; and how the declared code ends after `ends`."""
        wanted = list(swapped)
        for at, step in enumerate(self.changed):
            earlier = frozenset(self.changed[:at])
            new = {chosen & (earlier | {step}) for chosen in wanted if step in chosen} - self._made.keys()
            self._swap_in(step, [one - {step} for one in new])
        for chosen in ends:
            self.declared_end(chosen)

    def golden_end(self, swapped: frozenset[str]) -> list[Record]:
        """Outputs and decisions that golden's code comes to after these steps were swapped."""
        self.prepare([swapped])
        return [_end(made) for made in self._made[swapped]]

    def declared_end(self, swapped: frozenset[str]) -> list[Record]:
        """Outputs and decisions that the declared code comes to, given the mixture's value of every step."""
        self.prepare([swapped])
        if swapped not in self._ends:
            made = self._declared_on(swapped) if swapped else self._beside
            self._ends[swapped] = [_end(one) for one in made]
        return self._ends[swapped]

    def differ(self, step: str) -> str:
        """How the declared code's value of a step differs from golden's, given equal steps before it; empty where it does not."""
        both = list(zip(self._beside, self._made[frozenset()], strict=True))
        pairs = [(new.get(step, {}), old.get(step, {})) for new, old in both]
        said: list[tuple[int, str]] = []
        for path in dict.fromkeys(path for pair in pairs for leaves in pair for path in leaves):
            column = [(new.get(path), old.get(path)) for new, old in pairs]
            wrong = [(a, b) for a, b in column if gap(a, b) > _SAME]
            if wrong:
                how = shape([a for a, _ in wrong], [b for _, b in wrong], [b for _, b in column])
                said.append((len(wrong), f"{path} is {how}".replace("the code", "golden's code")))
        if not said:
            return ""
        said.sort(key=lambda one: -one[0])
        more = f", and {len(said) - 1} more field{'s' * (len(said) > 2)}" if len(said) > 1 else ""
        return f"{said[0][1]} ({said[0][0]} of {len(pairs)}){more}"

    def _compared(self) -> Names:
        """The steps in which the declared code makes something else of the same values before them."""
        mine = {step for made in self._beside for step in made if step.startswith("steps.")}
        added = [step for step in mine if step not in self.order]
        gone = [step for step in self.order if step not in mine]
        for steps, whose in ((added, "only the declared code has"), (gone, "only golden's code has")):
            if steps:
                self.notes.append(f"{whose} {', '.join(sorted(steps))}: what that does shows in the step after")
        blind = sorted(self._unstable & {*self.order, "outputs", "decision"})
        if blind:
            self.notes.append(
                f"{', '.join(blind)}: differs from itself when it is run twice, so nothing is laid at its door"
            )
        return tuple(s for s in self.order if s in mine and s not in self._unstable and self.differ(s))

    def _swap_in(self, step: str, befores: Sequence[frozenset[str]]) -> None:
        """Golden's code with the declared value of `step` in each of these mixtures of the steps before it."""
        if not befores:
            return
        earlier = self.order[: self.order.index(step)]
        asked = [self._given(before, earlier) for before in befores]
        values = _parted(self._run(self._declared, [r for part in asked for r in part]), len(self.records))
        handed = []
        for part, made in zip(asked, values, strict=True):
            for record, one in zip(part, made, strict=True):
                handed.append({**record, **one.get(step, {})})
        answers = self._run(self._golden, handed)
        for before, made, new in zip(befores, _parted(answers, len(self.records)), values, strict=True):
            known_before = self._made[before]
            self._made[before | {step}] = [
                {**after, **{s: old[s] for s in earlier if s in old}, step: value.get(step, {})}
                for after, old, value in zip(made, known_before, new, strict=True)
            ]

    def _given(self, swapped: frozenset[str], steps: Sequence[str]) -> list[Record]:
        """The records with a mixture's values of these steps, to be handed on."""
        out = []
        for record, made in zip(self.records, self._made[swapped], strict=True):
            out.append({**record, **{p: v for step in steps for p, v in made.get(step, {}).items()}})
        return out

    def _declared_on(self, swapped: frozenset[str]) -> list[Made]:
        return self._run(self._declared, self._given(swapped, self.order)) if self.records else []

    def _run(self, run: Run, records: Sequence[Record]) -> list[Made]:
        # A PyTorch module is hooked where any record has a step: the last one has them all, and its answer is dropped.
        hooked = self._example if self._kinds[run].startswith("PyTorch") else []
        _, answers = run([*records, *hooked], False)
        answers = answers[: len(records)]
        held = {step_of(path) for path in records[0]}
        lost = sorted({f"steps.{step}" for answer in answers for step in answer.unkept} & held)
        if lost:
            self._note(f"the value of {', '.join(lost)} cannot be handed on: what follows is not told apart from it")
        failed = next((answer.failed for answer in answers if answer.failed), "")
        if failed:
            self._note(f"a mixture of the two fails: {failed}")
        return [self._by_step(answer.out) for answer in answers]

    def _note(self, said: str) -> None:
        if said not in self.notes:
            self.notes.append(said)

    def _free(self, run: Run, records: Sequence[Record]) -> tuple[Sequence[Played], set[str]]:
        """What one of the two makes of raw inputs, and which steps do not agree with themselves when they are run again."""
        again = list(range(len(records)))[:_AGAIN][::-1]
        self._kinds[run], answers = run([*records, *(records[i] for i in again)], True)
        shaky = set()
        for i, second in zip(again, answers[len(records) :], strict=True):
            if not second.failed and not answers[i].failed:
                shaky |= {step_of(p) for p, v in second.out.items() if gap(v, answers[i].out.get(p)) > _SAME} - {""}
        live = sorted({name for answer in answers for name in answer.live})
        if live:
            self._note(f"read of {', '.join(live)} is not in the record: the world was asked again")
        return answers[: len(records)], shaky

    def _by_step(self, out: Record) -> Made:
        """The leaves of each step, outputs and decision among them, in the order in which they came; reads are no steps."""
        made: Made = {}
        for path, value in out.items():
            step = step_of(path)
            if step and step not in self._reads and value is not None:
                made.setdefault(step, {})[path] = value
        return made


def _end(made: Made) -> Record:
    return {**made.get("outputs", {}), **made.get("decision", {})}


def _parted(made: Sequence[Made], n: int) -> list[Sequence[Made]]:
    return [made[i : i + n] for i in range(0, len(made), n)]

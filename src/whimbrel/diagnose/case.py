"""The case before the court: golden's rows and the window's, side by side, as variables that can be asked about.

In: two `Rows` and their `Schema`. Out: a `Case`: every field as one or more `Variable`s over all rows (golden first,
then the window), the dimensions that slices are made of, and golden cut into blocks of time whose differences among
themselves say how much is normal. Free text becomes numbers and codes (`text`), once for each distinct text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from whimbrel.diagnose import arranged, dates, text
from whimbrel.diagnose.series import Series, series_of
from whimbrel.diagnose.visits import Things, things_of, visits_of
from whimbrel.model.event import Event
from whimbrel.model.fields import Field, Kind, Role, Schema, role_of
from whimbrel.model.rows import Bools, Column, Floats, Ints, Numbers, Rows

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SATURDAY = 5
VAST = 1e36
"""Numbers farther from nought count as this: placeholders such as the largest double, whose squares are no numbers, and which trees cannot hold."""
MAX_VALUES = 60
"""Values of one dimension that are looked at one by one; the rest are taken together."""
MOSTLY_ONCE = 0.05
"""Different values a row from which on values are as good as all different: the same again says something."""
MOST_CODES = 200
"""Values of a category that trees tell apart; ids have more."""
SELDOM = 0.02
"""The share of golden's rows that must lack a field, and have it, before it can be learned what that changes."""
SAMPLED = 1.5
"""Predictions behind each row from which on rows that follow each other did not."""
LONG, WORDS = 40, 5
"""Characters, and blanks, that names, codes and addresses seldom have."""
_OFTEN = 0.1
"""The different values a row up to which those of a field come again and again."""
NEWCOMERS = 0.03
"""The share of each quarter of golden whose value was new from which on a category keeps growing."""
ALIKE = 0.2
"""The share of golden's requests that may repeat another of their hour before inputs are called coarse."""
CHANCE = 3.0
"""Standard errors by which a host must have more requests than its share before it is busier."""
DIMENSION_ROLES = (Role.CONTEXT, Role.HARDWARE, Role.MODEL, Role.CODE)


@dataclass(frozen=True, eq=False)
class Variable:
    """One question that a field answers, shape (n,): its value, or a number derived from it (`path#length`).

    `numbers` is float64 with NaN where null or infinite; `codes` index `vocabulary`, -1 where null. Exactly one of them is set.
    """

    name: str
    field: Field
    numbers: Floats | None = None
    codes: Ints | None = None
    vocabulary: tuple[str, ...] = ()
    infinite: Bools | None = None
    """Where a number is infinite; None where none is."""

    @property
    def path(self) -> str:
        """The component that the variable belongs to."""
        return self.field.path

    @property
    def derived(self) -> bool:
        """Whether it is a number made from the field rather than the field's own value."""
        return self.name != self.field.path

    @property
    def recorded(self) -> bool:
        """Whether it is a value that was recorded: the field's own, or an element of its list."""
        return not self.derived or self.name.endswith("]")

    def only(self, rows: Ints) -> Variable:
        """The same question of these rows alone, in this order."""
        if self.numbers is not None:
            infinite = None if self.infinite is None else self.infinite[rows]
            return replace(self, numbers=self.numbers[rows], infinite=infinite)
        assert self.codes is not None
        return replace(self, codes=self.codes[rows])

    @cached_property
    def missing(self) -> Bools:
        """Where there is no value to reckon with, shape (n,): null, or infinite."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    @property
    def as_numbers(self) -> Floats:
        """Its numbers, or its codes as numbers, shape (n,), NaN where there is none."""
        if self.numbers is not None:
            return self.numbers
        assert self.codes is not None
        return np.where(self.codes < 0, np.nan, self.codes.astype(float))

    @cached_property
    def kinds(self) -> Ints:
        """Each different value as a number of its own from 0, null among them, shape (n,)."""
        values = self.codes if self.numbers is None else self.numbers
        assert values is not None
        out: Ints = np.unique(values, return_inverse=True)[1]
        return out

    @cached_property
    def order(self) -> Ints:
        """The rows by rising number, null last, shape (n,): sorted once for all that ask about ranks."""
        assert self.numbers is not None
        return np.argsort(self.numbers)

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        if self.numbers is not None:
            known = self.numbers[self.order[: self.numbers.size - int(self.missing.sum())]]
            return int(np.count_nonzero(known[1:] != known[:-1])) + bool(known.size)
        assert self.codes is not None
        return int(np.unique(self.codes[self.codes >= 0]).size)


@dataclass(frozen=True, eq=False)
class Dimension:
    """A field whose values are slices: codes into `values`, shape (n,), -1 where null or too rare to look at alone."""

    path: str
    codes: Ints
    values: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Both windows' rows, golden first. All arrays have shape (n,) with n = golden + window."""

    schema: Schema
    ids: tuple[str, ...]
    ts: Ints
    golden: Bools
    variables: Mapping[str, Variable]
    dimensions: tuple[Dimension, ...]
    blocks: Ints
    """The block of time that a golden row belongs to, 0..block_count-1; the window's rows continue behind them."""
    block_count: int
    window_blocks: int
    label_ts: Ints | None
    rescued: Mapping[str, Bools]
    events: tuple[Event, ...] = ()
    notes: list[str] = field(default_factory=list)
    after: set[str] = field(default_factory=set)
    """Steps that are made of what the model returned: some are known from their place, others once relations are learned."""
    sampled: tuple[float, float] = (1.0, 1.0)
    """Predictions behind each row of golden and of the window, where rows were sampled."""

    @cached_property
    def window(self) -> Bools:
        """The rows of the window, shape (n,)."""
        return ~self.golden

    def of(self, *roles: Role) -> list[Variable]:
        """The variables of the fields with one of these roles, in schema order."""
        return [variable for variable in self.variables.values() if variable.field.role in roles]

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """Outputs, and steps that stand between two of them, in their order (`in_between`)."""
        return in_between(self.schema)

    @property
    def steps_before(self) -> list[Variable]:
        """The variables of the steps before the model, the nearest to it first."""
        return [v for v in reversed(self.of(Role.STEP)) if v.field.step not in self.after]

    @cached_property
    def categories(self) -> Mapping[str, Ints]:
        """Who asks, and what is asked, by path: fields of few values as codes of shape (n,), negative where there is none."""
        who = {d.path: d.codes for d in self.dimensions if role_of(d.path) is Role.CONTEXT and len(d.values) > 1}
        what = [
            v for v in self.of(Role.INPUT) if v.codes is not None and not v.derived and 1 < v.distinct <= MAX_VALUES
        ]
        return who | {v.path: v.codes for v in what if v.codes is not None}

    @cached_property
    def many(self) -> Mapping[str, Ints]:
        """Of whom or what there are too many to look at one by one, and who come again, by path: codes of shape (n,), negative where there is none."""
        known = int(self.golden.sum())
        named = [v for v in self.of(Role.CONTEXT, Role.INPUT) if v.codes is not None and not v.derived]
        return {v.path: v.codes for v in named if v.codes is not None and MAX_VALUES < v.distinct <= _OFTEN * known}

    @cached_property
    def visits(self) -> Ints | None:
        """Whose visit each row belongs to (a patient's stay, a session), shape (n,), negative where it is unknown; None where nobody comes and goes."""
        return visits_of(self.ts, self.golden, self.many.values())

    @cached_property
    def things(self) -> Things | None:
        """What golden's requests are about (a product, a machine), where its state lasts for a while and then is another."""
        states = {  # of a category, none is a state as well
            v.name: v.as_numbers if v.codes is None else v.codes.astype(float) for v in self.of(Role.INPUT)
        }
        return things_of(self.ts, self.golden, {**self.many, **self.categories}, states)

    @cached_property
    def read_at(self) -> int:
        """When the log was read, for all that is known (µs): the window's newest row, or label. Golden may have been taken out of it later."""
        newest = int(self.ts[self.window].max())
        return newest if self.label_ts is None else max(newest, int(self.label_ts[self.window].max()))

    @cached_property
    def series(self) -> Series | None:
        """The rows as series of even steps (a meter's hours, a shop and product's days); None where they are none, or a sample."""
        named = [*self.categories.values(), *self.many.values()]
        return None if max(self.sampled) > SAMPLED else series_of(self.ts, self.golden, named)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The steps that are look-ups (`recorder.read`): what they return is the world's, not the code's."""
        listed = [v for name, v in self.variables.items() if name.startswith("recorder.reads[")]
        return frozenset(value for variable in listed for value in variable.vocabulary)

    @cached_property
    def ages(self) -> float:
        """How long the window ends after golden began, in golden's own length: a counter that covered a range once covers it so often by then."""
        then = self.ts[self.golden]
        return float(self.ts.max() - then.min()) / max(float(np.ptp(then)), 1.0)

    @cached_property
    def hour(self) -> Floats:
        """Hour of the day, UTC, with its fraction."""
        return (self.ts % DAY_US) / HOUR_US

    @cached_property
    def weekly_hour(self) -> Ints:
        """Hour of the day, UTC, of working days 0 to 23, of weekends 24 to 47."""
        return self.hour.astype(np.int64) + 24 * (self.weekday >= SATURDAY)

    @cached_property
    def load(self) -> Floats:
        """How busy each row's host was: the logarithm of predictions in the same hour, and of how many times its usual share the host had."""
        out = np.zeros(len(self.ts))
        for rows, behind in ((self.golden, self.sampled[0]), (self.window, self.sampled[1])):
            _, index, counts = np.unique(self.ts[rows] // HOUR_US, return_inverse=True, return_counts=True)
            out[rows] = np.log(counts[index] * behind)
        return out + self._crowded()

    def _crowded(self) -> Floats:
        """The logarithm of how many times its share of golden's requests a host had in a quarter of a day, where that is no chance, shape (n,).

        Where a host is taken away, the others of its place bear what it bore. A small one that bears as much as others is not crowded; one that
        bears less than ever is no quicker for that, for requests may wait for what all hosts share.
        """
        hosts = self.variables.get("hardware.host")
        if hosts is None or hosts.codes is None:
            return np.zeros(len(self.ts))
        size = len(hosts.vocabulary) + 1
        quarter = np.unique(self.ts // (DAY_US // 4), return_inverse=True)[1]
        came = np.bincount(quarter * size + hosts.codes + 1, minlength=(int(quarter.max()) + 1) * size).reshape(
            -1, size
        )
        share = np.bincount(hosts.codes[self.golden] + 1, minlength=size) / self.golden.sum()
        all_of = came.sum(axis=1, keepdims=True)
        usual = np.maximum(all_of * share, all_of * share.sum() / max((share > 0).sum(), 1))
        clear = came - usual > CHANCE * np.sqrt(usual)
        times = np.log(np.where(clear, came, 1.0) / np.where(clear, usual, 1.0))
        out: Floats = times[quarter, hosts.codes + 1]
        return out

    @cached_property
    def requests(self) -> Ints:
        """A number for each request, shape (n,), the same for those of one hour that are alike in all inputs: it was sent again."""
        same = self.alike(self.ts // HOUR_US, self.of(Role.INPUT))
        alike = self.golden.sum() - np.unique(same[self.golden]).size
        return same if alike < ALIKE * self.golden.sum() else np.arange(same.size)

    def alike(self, same: Ints, variables: Iterable[Variable]) -> Ints:
        """A number for each row, shape (n,), the same for those that are `same` and alike in each of these variables, marks of texts left out."""
        same = np.unique(same, return_inverse=True)[1]
        for variable in variables:
            if same.size and int(same.max()) + 1 == same.size:
                break  # no two are alike any more
            if not variable.derived:
                same = np.unique(same * (int(variable.kinds.max()) + 1) + variable.kinds, return_inverse=True)[1]
        return same

    @cached_property
    def repeated(self) -> Bools:
        """Rows that repeat a request of the same hour, input for input: what becomes of them is known already, shape (n,).

        None where inputs are so few and so coarse that many requests look alike.
        """
        return repeats(self.requests)

    @cached_property
    def growing(self) -> frozenset[str]:
        """The categories (dates, orders, batches) to which each quarter of golden brought new values, so that later ones are no news."""
        rows = np.flatnonzero(self.golden)
        quarters = np.array_split(rows[np.argsort(self.ts[rows], kind="stable")], 4)
        out = set()
        for name, variable in self.variables.items():
            if variable.codes is None or variable.derived:
                continue
            seen, fresh = np.zeros(len(variable.vocabulary) + 1, dtype=bool), []
            seen[-1] = True  # null is no value
            for quarter in quarters:
                fresh.append(float((~seen[variable.codes[quarter]]).mean()) if quarter.size else 0.0)
                seen[variable.codes[quarter]] = True
            if min(fresh) > NEWCOMERS:
                out.add(name)
        return frozenset(out)

    @cached_property
    def by_another(self) -> Bools:
        """Rows that a model answered which golden did not have, shape (n,); of facts that come anew all the time none is news."""
        return answered_anew(self.golden, (v for v in self.variables.values() if v.name not in self.growing))

    @cached_property
    def weekday(self) -> Ints:
        """Day of the week, Monday is 0."""
        return (self.ts // DAY_US + 3) % 7


def answered_anew(golden: Bools, facts: Iterable[Variable]) -> Bools:
    """Rows that a model answered which golden did not have, by any fact that names it, shape (n,).

    What golden never recorded (which arm of an experiment it is) names both arms, and the one that golden had is not new.
    """
    out = np.zeros_like(golden)
    for fact in facts:
        if fact.field.role is Role.MODEL and fact.codes is not None:
            had = np.bincount(fact.codes[golden] + 1, minlength=len(fact.vocabulary) + 1) > 0
            out |= had[1:].any() & (fact.codes >= 0) & ~had[fact.codes + 1]
    return out


def repeats(same: Ints) -> Bools:
    """Where a number was there in an earlier row, shape (n,)."""
    out = np.ones(same.size, dtype=bool)
    out[np.unique(same, return_index=True)[1]] = False
    return out


def in_between(schema: Schema) -> tuple[str, ...]:
    """Outputs as paths and steps as `steps.<step>`, in the order in which they are recorded, where a step stands between two outputs; else nothing.

    A table that lists a parser between the model's text and its score tells that it read the one and leads to the other. One that keeps outputs
    together tells nothing of which steps come after them.
    """
    named = [f"steps.{f.step}" if f.role is Role.STEP else f.path for f in schema.of(Role.STEP, Role.OUTPUT)]
    order = list(dict.fromkeys(named))
    at = [i for i, name in enumerate(order) if role_of(name) is Role.OUTPUT]
    return tuple(order[at[0] : at[-1] + 1]) if at and at[-1] - at[0] >= len(at) else ()


def usual_by_hour(case: Case, inside: Bools) -> Floats:
    """Predictions that a slice, shape (n,), has in each hour of one of golden's days, shape (24,)."""
    hours = case.hour[case.golden & inside].astype(np.int64)
    days = max(float(np.ptp(case.ts[case.golden])) / DAY_US, 1.0)
    return np.bincount(hours, minlength=24).astype(np.float64) * float(case.sampled[0]) / days


def build(golden: Rows, window: Rows, schema: Schema, events: Iterable[Event] = ()) -> Case:
    """Lay the two windows side by side.

    Fields that neither window ever fills are left out.
    """
    both = golden + window
    is_golden = np.arange(len(both)) < len(golden)
    variables: dict[str, Variable] = {}
    for path, column in both.columns.items():
        found = schema.get(path) or schema.get(path.partition("#")[0].partition("[")[0])
        if found is not None and not column.missing.all() and (path == found.path or _has_places(path, golden)):
            for variable in _variables(path, found, column, is_golden, both.ts):
                variables[variable.name] = variable
            if found.role is Role.INPUT and path == f"{found.path}#length":
                came = arranged.order(both.columns, found.path, len(both))
                variables |= {} if came is None else {(name := found.path + arranged.MARK): Variable(name, found, came)}
    blocks, block_count, window_blocks = _blocks(both.ts, is_golden)
    return Case(
        schema=schema,
        ids=both.ids,
        ts=both.ts,
        golden=is_golden,
        variables=variables,
        dimensions=_dimensions(variables.values()),
        blocks=blocks,
        block_count=block_count,
        window_blocks=window_blocks,
        label_ts=both.label_ts,
        rescued=both.rescued,
        events=tuple(events),
        after={name.removeprefix("steps.") for name in in_between(schema) if role_of(name) is Role.STEP},
        sampled=(golden.total / max(len(golden), 1), window.total / max(len(window), 1)),
    )


def _has_places(path: str, golden: Rows) -> bool:
    """Whether each of golden's rows has that place in its list, the first of them mostly. A list that is shorter today lacks its end."""
    name, _, place = path.partition("[")
    length = golden.columns.get(f"{name}#length")
    if not (place and isinstance(length, Numbers)):
        return True
    return bool(int(place[:-1]) < length.values[~length.missing].min(initial=np.inf))


def _variables(path: str, owner: Field, column: Column, golden: Bools, ts: Ints) -> list[Variable]:
    if isinstance(column, Numbers):
        infinite = np.isinf(column.values)
        values = np.clip(np.where(infinite, np.nan, column.values), -VAST, VAST)
        own = Variable(path, owner, numbers=values, infinite=infinite if infinite.any() else None)
        timed = owner.role is Role.INPUT and owner.kind is Kind.TIME
        return [own, Variable(f"{path}{dates.MARK}", owner, numbers=dates.before(values, ts))] if timed else [own]
    own = Variable(path, owner, codes=column.codes, vocabulary=column.vocabulary)
    if owner.role is Role.INPUT:
        days = dates.days_ago(own.vocabulary, column.codes, golden, ts)
        if days is not None:
            return [own, *_whether_given(own, golden), Variable(f"{path}{dates.MARK}", owner, numbers=days)]
    if not _is_text(own):
        return [own, *_whether_given(own, golden)]
    made = text.marks(own.vocabulary, column.codes, golden, received=owner.role is Role.INPUT)
    return [own, *(Variable(f"{path}#{m.name}", owner, m.numbers, m.codes, m.vocabulary) for m in made)]


def _whether_given(variable: Variable, golden: Bools) -> list[Variable]:
    """Whether an input of very many values came at all, as a variable of its own: of an image's name nothing can be learned, but there may be none."""
    lacks = float((variable.missing & golden).sum() / max(golden.sum(), 1))
    many = len(variable.vocabulary) > MOST_CODES and variable.field.role is Role.INPUT
    if not (many and SELDOM < lacks < 1 - SELDOM):
        return []
    return [Variable(f"{variable.name}#given", variable.field, numbers=(~variable.missing).astype(np.float64))]


def _is_text(variable: Variable) -> bool:
    """Free text: values with blanks, most of them different; or sentences, more of them than a list has, however often each comes."""
    assert variable.codes is not None
    known = int((variable.codes >= 0).sum())
    if variable.distinct < MAX_VALUES or variable.field.role in DIMENSION_ROLES:
        return False
    sample = [one.strip() for one in variable.vocabulary[:: max(1, len(variable.vocabulary) // 400)]]
    if variable.distinct < MOSTLY_ONCE * known:
        return float(np.mean([" " in one and (len(one) > LONG or one.count(" ") >= WORDS) for one in sample])) > 0.5
    return float(np.mean([" " in one or len(one) > LONG for one in sample])) > 0.5


def _dimensions(variables: Iterable[Variable]) -> tuple[Dimension, ...]:
    """Fields with few values that say who, where and by what."""
    chosen = [v for v in variables if v.field.role in DIMENSION_ROLES and v.codes is not None and not v.derived]
    out = [d for d in (_dimension(v) for v in chosen) if d is not None]
    return tuple(out)


def _dimension(variable: Variable) -> Dimension | None:
    assert variable.codes is not None
    known = variable.codes[variable.codes >= 0]
    if known.size == 0 or variable.distinct > max(200, 0.02 * known.size):
        return None
    counts = np.bincount(known, minlength=len(variable.vocabulary))
    keep = np.argsort(-counts, kind="stable")[:MAX_VALUES]
    keep = keep[counts[keep] > 0]
    mapped = np.full(len(variable.vocabulary) + 1, -1, dtype=np.int64)
    mapped[keep] = np.arange(keep.size)
    return Dimension(variable.path, mapped[variable.codes], tuple(variable.vocabulary[i] for i in keep))


def _blocks(ts: Ints, golden: Bools) -> tuple[Ints, int, int]:
    """Cut golden into blocks of the window's length where at least six fit, else days, else sixths.

    Rows of one block share weather, campaigns and crowds; only blocks may be taken for independent.
    """
    start, end = (int(ts[golden].min()), int(ts[golden].max()) + 1) if golden.any() else (0, 1)
    window_length = int(np.ptp(ts[~golden])) + 1 if (~golden).any() else 1
    length = max(window_length, HOUR_US)
    if (end - start) // length < 6:
        length = DAY_US if end - start >= 4 * DAY_US else max((end - start) // 6, 1)
    length = max(length, (end - start) // 30 + 1)
    count = max(1, -(-(end - start) // length))
    blocks = np.where(golden, np.clip((ts - start) // length, 0, count - 1), 0)
    window_blocks = max(1, round(window_length / length))
    first = int(ts[~golden].min()) if (~golden).any() else 0
    inside = np.clip((ts - first) * window_blocks // window_length, 0, window_blocks - 1)
    return np.where(golden, blocks, count + inside), int(count), int(window_blocks)

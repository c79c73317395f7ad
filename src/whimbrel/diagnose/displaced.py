"""Another request's values: a batch that is handed out one place off, a log that keeps what the record before it said, a join by a wrong key.

In: a `Case`, a suspect and the relation that golden taught of its component. Out: of whose request these values are, in words. Each value is
right, for somebody else: it is what the relation expects of the request just before or after on the same host (or in the same place), and of
no request farther off; or they are dealt out among a batch; or they are anybody's, as if dealt out at random. Where it is the other way about,
and what a row's inputs lead to is what was made for the request before, the inputs are that one's, and somebody wrote them into the wrong record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from whimbrel.diagnose import state
from whimbrel.diagnose.case import HOUR_US, SAMPLED, Case
from whimbrel.diagnose.feeds import distance
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

_LEAST = 20
"""Values that show whose they are."""
_FITS, _BY_CHANCE = 0.6, 0.25
"""The share of them that must be another request's, and what of it a request farther off may have as well."""
_ALL, _OFTEN = 0.95, 0.6
"""The same of values of which there are few: all of them are another request's, and many of those farther off are the same by chance."""
_LAGS, _FARTHER = (1, -1, 2, -2), (7, 11, -13)
"""Places from a request to whose its values may be, and to some whose they are not."""
_SIZES = 10
"""Parts, by size, in which golden's values say how far off they may be: the large ones are often harder to foretell."""
_MANY, _DEALS = 100, 5
"""Values far from what is expected of them that show that they are anybody's; how often values are dealt out to be held against them."""
_DEALT, _IN_A_ROW, _COMES_TO_NOTHING, _ORDERS = 160, 32, 0.4, 100
"""Values that show that they are dealt out among neighbours; how many in a row are added up, the part of their variance that may be left, and other
orders that must all leave more."""
_DEALT_OUT = "they are dealt out"
_KEPT = 0.7
"""The part of golden's correlation with their own key's values that they must have with another request's key's."""
_HOURS, _MOST_OF_A_DAY = 14, 16
"""Hours that a clock may be off; hours in which that must be seen."""
_AS_WELL, _NEARER = 1.2, 3.0
"""Times golden's own distance from what is expected that still is as near; times as near as to their own hour's."""
_NOBODYS = 0.05
"""The share of values beyond all that any other row has from which on they are not somebody else's."""
_TOLD, _ALIKE = 0.3, 0.05
"""The share of values dealt out at random that must lie far off; by how much shares may differ that are the same, however many there are."""


def of_another(case: Case, suspect: Suspect, relation: Relation | None) -> Suspect:
    """The suspect, named for it where its values are another request's."""
    whose, of_inputs = _displaced(case, suspect, relation)
    if not whose:
        return suspect
    detail = {**suspect.hit.channel.detail, "of_inputs": of_inputs, "dealt": whose.startswith(_DEALT_OUT)}
    channel = replace(suspect.hit.channel, signature="displaced", detail=detail)
    return replace(suspect, hit=replace(suspect.hit, channel=channel), note=whose)


def _displaced(case: Case, suspect: Suspect, relation: Relation | None) -> tuple[str, bool]:
    """Whose a step's or an output's values are, in words, or whose the inputs are that stand beside them; empty where they are no other request's."""
    if suspect.hit.channel.signature == "rekeyed":
        return _of_anothers_key(case, suspect), False
    own = suspect.hit.channel.detail.get("relation")
    relation = own if relation is None and own is not None and own.exact else relation  # of a text, what is told of it
    variable = None if relation is None else case.variables.get(relation.target)
    made = role_of(suspect.component) in (Role.STEP, Role.OUTPUT)
    if relation is None or variable is None or not made or max(case.sampled) > SAMPLED:
        return "", False
    named = variable.numbers is None
    if named and not relation.exact:
        return "", False  # of a few values every second request has the same
    values = variable.as_numbers
    expected, bad = relation.expected, np.flatnonzero(suspect.bad & ~variable.missing)
    judged = case.golden & np.isfinite(relation.surprise) & np.isfinite(values)
    if bad.size < _LEAST or not judged.any():
        return "", False
    near = np.zeros(values.size) if named else _reach(relation, values, judged)
    fits, at_most = (_ALL, _OFTEN) if named else (_FITS, _BY_CHANCE)
    best, words, of_inputs = 0.0, "", False
    lines = {"": np.zeros(len(case.ts), np.int64), **_places(case)}
    for path, place in (lines | _series(case) if role_of(suspect.component) is Role.OUTPUT else lines).items():
        line = _line(case, place)
        for own, others in ((values, expected), (expected, values)):
            shares = {lag: _share(own, others, bad, place, line, lag, near) for lag in _LAGS}
            lag = max(_LAGS, key=lambda one: shares[one])
            # Of few values what was before fits as well as what came after beside another's inputs: nothing is kept that has not come yet.
            share = shares[lag] + (1.0 if named and lag < 0 else 0.0)
            if shares[lag] < fits or share <= best:
                continue
            chance = max(_share(own, others, bad, place, line, far, near) for far in _FARTHER)
            if chance <= at_most * shares[lag]:
                best, of_inputs = share, own is expected
                words = f"{'the inputs beside them' if of_inputs else 'they'} are {_neighbours(lag, path)}"
    return words or _of_a_batch(case, suspect, relation, lines), of_inputs


def _of_anothers_key(case: Case, suspect: Suspect) -> str:
    """Of whose key values are that no longer go by their own row's, in words: the request's next to it on the same host; empty where they are nobody's."""
    detail = suspect.hit.channel.detail
    if role_of(suspect.component) is not Role.STEP or not detail["many"] or max(case.sampled) > SAMPLED:
        return ""
    key, ranks = case.variables[detail["key"]].kinds, detail["ranks"]
    golden, size = case.golden & np.isfinite(ranks), int(key.max()) + 1
    counts = np.bincount(key[golden], minlength=size)
    sums = np.bincount(key[golden], weights=ranks[golden], minlength=size)
    usual = np.where(counts[key] >= 2, sums[key] / np.maximum(counts[key], 1), np.nan)
    rest = np.where(golden, (sums[key] - ranks) / np.maximum(counts[key] - 1, 1), usual)  # golden's without itself
    own = _goes_with(ranks, np.where(np.isfinite(usual), rest, np.nan), np.flatnonzero(golden & suspect.inside))
    rows, best, words = np.flatnonzero(suspect.affected & np.isfinite(ranks)), _KEPT * own, ""
    for path, place in {"": np.zeros(len(case.ts), np.int64), **_places(case)}.items():
        line = _line(case, place)
        for lag in _LAGS:
            here, other = _beside(place, line, rows, lag)
            told = _goes_with(ranks[here], usual[other], np.arange(here.size))
            if told > best:
                best, words = told, f"they are {_neighbours(lag, path)}"
    return words


def _goes_with(ranks: Floats, usual: Floats, rows: Ints) -> float:
    """How closely ranks go with what is usual (their correlation); 0 where too few are known."""
    rows = rows[np.isfinite(ranks[rows]) & np.isfinite(usual[rows])]
    if rows.size < _LEAST or min(np.ptp(ranks[rows]), np.ptp(usual[rows])) == 0:
        return 0.0
    return float(np.corrcoef(ranks[rows], usual[rows])[0, 1])


def _of_a_batch(case: Case, suspect: Suspect, relation: Relation, lines: Mapping[str, Ints]) -> str:
    """In which line numbers are dealt out among neighbours, in words; empty where they are not: what one has too much, those next to it have too little.

    Over some requests in a row it then comes to nothing, where errors of their own would add up (the variance of sums against that of the
    same errors in any other order).
    """
    values = case.variables[relation.target].numbers
    if values is None or role_of(suspect.component) is not Role.OUTPUT:
        return ""
    known = case.golden & np.isfinite(values)
    sizes = np.sort(values[known])
    off = (np.searchsorted(sizes, values) - np.searchsorted(sizes, relation.expected)) / max(sizes.size, 1)
    off[~(np.isfinite(values) & np.isfinite(relation.expected))] = np.nan
    rng = np.random.default_rng(0)
    least, words = _COMES_TO_NOTHING, ""
    for path, place in lines.items():
        line = np.flatnonzero(suspect.affected & np.isfinite(off) & (place >= 0))
        if line.size < _DEALT:
            continue
        errors = off[line[np.lexsort((case.ts[line], place[line]))]]
        errors -= errors.mean()
        left = _adds_up(errors)
        if left <= least and left < min(_adds_up(rng.permutation(errors)) for _ in range(_ORDERS)):
            least, words = (
                left,
                f"{_DEALT_OUT} among requests next to each other{f' of the same {path}' if path else ''}",
            )
    return words


def _adds_up(errors: Floats) -> float:
    """The variance of sums of so many errors in a row, as a part of what it would be if they had nothing to do with each other."""
    total = np.concatenate([[0.0], np.cumsum(errors)])
    return float(np.mean((total[_IN_A_ROW:] - total[:-_IN_A_ROW]) ** 2) / max(_IN_A_ROW * float(errors.var()), 1e-300))


def dealt(case: Case, suspect: Suspect) -> str:
    """Whether those of an input's values that the other inputs do not expect are anybody's, in words; empty where they are not.

    They must lie as values do that are dealt out to the same rows at random: the values themselves, what was expected in their
    place, and the differences. What changes in the world differs from what it was; somebody else's value has nothing to do with it.
    """
    relation: Relation = suspect.hit.channel.detail["relation"]
    values = case.variables[relation.target].numbers
    if values is None or relation.exact:
        return ""
    known = np.isfinite(values) & np.isfinite(relation.expected)
    rows = np.flatnonzero(known & suspect.affected)
    usual = np.abs(values - relation.expected)[known & case.golden]
    if rows.size < _MANY or not usual.size:
        return ""
    reach = float(np.quantile(usual, 0.995))
    rng = np.random.default_rng(rows.size)
    given, expected = values[rows], relation.expected[rows]
    anybodys = np.concatenate([rng.permutation(given) for _ in range(_DEALS)])
    theirs = np.tile(expected, _DEALS)
    far, far_dealt = np.abs(given - expected) > reach, np.abs(anybodys - theirs) > reach
    if far.sum() < _MANY or far_dealt.mean() < _TOLD:
        return ""
    others = values[known & ~suspect.affected]
    if np.mean((given[far] < others.min()) | (given[far] > others.max())) > _NOBODYS:
        return ""  # a crowd such as no one else had is no one else's
    most = max(_ALIKE, 1.36 / float(np.sqrt(far.sum())))
    pairs = ((given, anybodys), (expected, theirs), (given - expected, anybodys - theirs))
    if any(distance(one[far], other[far_dealt]) > most for one, other in pairs):
        return ""
    return "where they are not what the other inputs tell they are anybody's, as if joined by a wrong key"


def of_another_hour(case: Case, suspect: Suspect) -> str:
    """How many hours off the values of a state are (the weather, joined by the wrong clock), in words; empty where they are not.

    They must fit what the rest of the row tells of their place some hours before or after as well as golden's fit their own
    hour, and not fit their own, for most of a day: no front that came late does that by day and by night.
    """
    relation: Relation = suspect.hit.channel.detail["relation"]
    values = case.variables[relation.target].numbers
    if values is None or max(case.sampled) > SAMPLED:
        return ""
    known = np.isfinite(values) & np.isfinite(relation.expected)
    hour = case.ts // HOUR_US
    if np.unique(hour[known & suspect.affected]).size < _MOST_OF_A_DAY:
        return ""
    place = state.places(case, values, shared=state.ROUGHLY)
    if place is None:
        return ""
    width = int(place.max()) + 2
    cells, of = np.unique(hour[known] * width + place[known] + 1, return_inverse=True)
    told = np.bincount(of, weights=relation.expected[known]) / np.bincount(of)

    def off(rows: Bools, lag: int) -> float:
        here = np.flatnonzero(rows)
        wanted = (hour[here] + lag) * width + place[here] + 1
        at = np.searchsorted(cells, wanted).clip(0, cells.size - 1)
        found = cells[at] == wanted
        return float(np.abs(values[here] - told[at])[found].mean()) if 2 * found.sum() > here.size else np.inf

    usual = off(known & case.golden & suspect.inside, 0)
    errors = {lag: off(known & suspect.affected, lag) for lag in range(-_HOURS, _HOURS + 1)}
    lag = min(errors, key=lambda one: errors[one])
    if not np.isfinite(usual) or abs(lag) < 2 or errors[lag] > _AS_WELL * usual or errors[0] < _NEARER * errors[lag]:
        return ""
    return (
        f"they are those of about {abs(lag)} hours {'later' if lag > 0 else 'earlier'} there: joined by another clock"
    )


def _places(case: Case) -> dict[str, Ints]:
    """Where requests stand in one line: at a host, in a place."""
    return {
        d.path.partition(".")[2]: d.codes for d in case.dimensions if role_of(d.path) in (Role.HARDWARE, Role.CONTEXT)
    }


def _series(case: Case) -> dict[str, Ints]:
    """Whose a row is where rows come at even times (a meter, a shop and a product): what was answered the time before is another's, too."""
    return {} if case.series is None or not case.series.key.any() else {"series": case.series.key}


def _reach(relation: Relation, values: Floats, judged: Bools) -> Floats:
    """How far nine in ten of golden's values of like size are from what is expected of them at most, shape (n,)."""
    known = values[judged]
    errors = np.abs(known - relation.expected[judged])
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _SIZES + 1)[1:-1]))
    among, of = np.searchsorted(edges, known), np.searchsorted(edges, values)
    least = 1e-6 * float(np.ptp(known))
    reach = np.array(
        [np.quantile(errors[among == one], 0.9) if (among == one).any() else 0.0 for one in range(edges.size + 1)]
    )
    out: Floats = np.maximum(reach, least)[of]
    return out


def _neighbours(lag: int, path: str) -> str:
    count = "" if abs(lag) == 1 else f" {abs(lag)} places"
    return f"those of the request{count} {'before' if lag < 0 else 'after'} it{f' of the same {path}' if path else ''}"


def _line(case: Case, place: Ints) -> Ints:
    """The window's rows that have a place, place by place, each in order of time."""
    line = np.flatnonzero(case.window & (place >= 0))
    return line[np.lexsort((case.ts[line], place[line]))]


def _beside(place: Ints, line: Ints, rows: Ints, lag: int) -> tuple[Ints, Ints]:
    """Those of the rows that have another one so many places on in their line, and that one, shape (rows,) each."""
    at = np.full(place.size, -1)
    at[line] = np.arange(line.size)
    here = rows[(at[rows] >= 0) & (at[rows] + lag >= 0) & (at[rows] + lag < line.size)]
    other = line[at[here] + lag]
    same = place[other] == place[here]
    return here[same], other[same]


def _share(own: Floats, others: Floats, bad: Ints, place: Ints, line: Ints, lag: int, near: Floats) -> float:
    """The share of these rows whose `own` number is the other one's of the row so many places on in its line; 0 where too few have one."""
    here, other = _beside(place, line, bad, lag)
    same = np.isfinite(others[other])
    if same.sum() < max(_LEAST, bad.size / 2):
        return 0.0
    return float(np.mean(np.abs(own[here] - others[other])[same] <= near[here][same]))

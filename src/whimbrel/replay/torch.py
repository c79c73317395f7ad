"""A PyTorch module as a pipeline: its recorded submodules are steps, by forward hooks.

In: a module that takes one row of numbers, shape (1, fields). Out: what `doors/torch.py` records of it. All rows go through at
once where each part makes one small tensor, and of two rows what it makes of each; else they go one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from whimbrel.doors.torch import SMALL, kept
from whimbrel.model.records import Records
from whimbrel.record import flat
from whimbrel.replay.pipelines import played
from whimbrel.replay.played import Answers, Heed, Played, together
from whimbrel.replay.record import Record, same
from whimbrel.replay.replayed import Replayed


class TorchPipeline:
    """A `torch.nn.Module`; a recorded value goes on in the place of a submodule's own where the two differ."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._parts: list[tuple[str, Any]] = []

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"PyTorch {type(self._model).__name__}"

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played | Answers]:
        """Run the module on all records at once, or on each."""
        import torch

        records = Records.of(records)
        steps = {path.partition(".")[0] for path in records.fields("steps")}
        self._parts = [(n, part) for n, part in self._model.named_modules() if n and flat.name_of(n) in steps]
        self._model.eval()
        paths = [f"inputs.{name}" for name in records.fields("inputs")]
        with torch.no_grad():
            if self._takes_rows(records[:2], paths):
                yield from together(lambda some, heed: self._together(some, paths, free, heed), records, heed)
                return
            for i in range(len(records)):
                yield self._single(records[i : i + 1], paths, Replayed(records[i], free=free, heed=heed))

    def _takes_rows(self, two: Records, paths: Sequence[str]) -> bool:
        runs: list[dict[str, Any]] = []

        def see(name: str, output: Any) -> None:
            if runs[-1].setdefault(name, output) is not output:
                raise ValueError("a part that runs twice")

        try:
            rows = _table(two, paths)
            with self._hooked(see):
                for some in (rows, rows[:1], rows[1:]):
                    runs.append({})
                    see("", self._model(some))
            whole, *each = runs
            return all(_is_stack(made, [one[name] for one in each]) for name, made in whole.items())
        except Exception:  # noqa: BLE001  the code that is judged may raise anything; one by one says in which rows
            return False

    def _together(self, records: Records, paths: Sequence[str], free: bool, heed: Heed) -> Answers:
        made: dict[str, Any] = {}
        unkept: list[str] = []

        def hear(name: str, output: Any) -> Any:
            group = f"steps.{flat.name_of(name)}"
            made.update(_columns(group, "value", output))
            recorded = records.values(f"{group}.value")
            pairs = enumerate(zip(recorded, made[f"{group}.value"], strict=True))
            rows = [i for i, (told, own) in pairs if told is not None and not same(told, own)]
            if free or not rows:
                return None
            try:
                cells = [[math.nan if cell is None else cell for cell in recorded[i]] for i in rows]
                handed = output.clone()
                handed[rows] = output.new_tensor(cells).reshape(handed[rows].shape)
            except Exception:  # noqa: BLE001  what was recorded has another form
                unkept.append(name)
                return None
            return handed

        with self._hooked(hear, heed):
            answer = self._model(_table(records, paths))
        made |= _columns("outputs", "score", answer)
        odd = dict.fromkeys(range(len(records)), Played(unkept=tuple(unkept))) if unkept else {}
        return Answers(Records.of_columns(made, len(records)), odd)

    def _single(self, record: Records, paths: Sequence[str], replayed: Replayed) -> Played:
        def hear(name: str, output: Any) -> Any:
            handed = replayed.add(("step", name, kept(output), 0), "steps")
            if handed is None:
                return None
            try:
                return output.new_tensor(handed[0]).reshape(output.shape)
            except Exception:  # noqa: BLE001  a large output is recorded as its summary only
                replayed.unkept.add(name)
                return None

        with self._hooked(hear):
            return played(replayed, lambda: kept(self._model(_table(record, paths))))

    @contextmanager
    def _hooked(self, hear: Callable[[str, Any], Any], heed: Heed = lambda _: None) -> Iterator[None]:
        """Each part's output is heard, by its name; what `hear` answers goes on in its place, unless it is None."""
        hooks = [part.register_forward_pre_hook(lambda *_, n=name: heed(n)) for name, part in self._parts]
        hooks += [part.register_forward_hook(lambda *told, n=name: hear(n, told[2])) for name, part in self._parts]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _is_stack(made: Any, each: Sequence[Any]) -> bool:
    """Whether a part made of two rows what it makes of each, and little enough to be recorded one by one."""
    import torch

    stacked = torch.cat(tuple(each))
    if made.shape[0] != 2 or made.shape != stacked.shape or made[0].numel() > SMALL:
        return False
    return bool(torch.allclose(made, stacked, rtol=1e-4, atol=1e-6, equal_nan=True))


def _columns(group: str, name: str, output: Any) -> dict[str, Any]:
    """What a record holds of each row of a tensor: its items, and their shape where they are more than a list."""
    items = output.detach().cpu()
    cells = (items.float() if items.is_floating_point() else items).reshape(len(items), -1).numpy()
    sides = [side for side in items.shape[1:] if side != 1]
    told = {f"{group}.{name}.shape": ["×".join(map(str, sides))] * len(items)} if len(sides) > 1 else {}
    return {**told, f"{group}.{name}": cells[:, 0] if group == "outputs" and cells.shape[1] == 1 else cells.tolist()}


def _table(records: Records, paths: Sequence[str]) -> Any:
    """The rows that the module takes, shape (n, fields); a single field may hold them as lists."""
    import torch

    if not any(path in records.others for path in paths):
        return torch.tensor(records.matrix(paths), dtype=torch.float32)
    cells = [
        row[0] if len(row) == 1 and isinstance(row[0], list) else row
        for row in zip(*map(records.values, paths), strict=True)
    ]
    return torch.tensor(np.array(cells, dtype=np.float64), dtype=torch.float32)

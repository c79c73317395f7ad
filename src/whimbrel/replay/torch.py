"""A PyTorch module as a pipeline: its recorded submodules are steps, by forward hooks.

In: a module that takes one row of numbers, shape (1, fields). Out: what `doors/torch.py` records of it. Rows go through one by
one, as they were recorded: many at once are summed in another order, by which single precision near zero differs in its third digit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from whimbrel.doors.torch import kept
from whimbrel.model.records import Records
from whimbrel.replay.pipelines import played
from whimbrel.replay.played import Heed, Played
from whimbrel.replay.record import Record
from whimbrel.replay.replayed import Replayed


class TorchPipeline:
    """A `torch.nn.Module`; a recorded value goes on in the place of a submodule's own where the two differ."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"PyTorch {type(self._model).__name__}"

    def play(self, records: Sequence[Record], *, free: bool, heed: Heed) -> Iterator[Played]:
        """Run the module for each record."""
        import torch

        columns = Records.of(records)
        names = columns.fields("inputs")
        steps = {path.partition(".")[0] for path in columns.fields("steps")}
        parts = [(n, part) for n, part in self._model.named_modules() if n and n.replace(".", "_") in steps]
        self._model.eval()
        for record in records:
            replayed = Replayed(record, free=free, heed=heed)
            hooks = [part.register_forward_hook(_hook(replayed, name)) for name, part in parts]
            row = [record.get(f"inputs.{name}") for name in names]
            row = row[0] if len(row) == 1 and isinstance(row[0], list) else row
            try:
                with torch.no_grad():
                    tensor = torch.tensor([[math.nan if cell is None else cell for cell in row]], dtype=torch.float32)
                    yield played(replayed, lambda tensor=tensor: kept(self._model(tensor)))  # type: ignore[misc]
            finally:
                for hook in hooks:
                    hook.remove()


def _hook(replayed: Replayed, name: str) -> Any:
    def hook(module: Any, arguments: Any, output: Any) -> Any:  # noqa: ARG001  torch's signature
        handed = replayed.add(("step", name, kept(output), 0), "steps")
        if handed is None:
            return None
        try:
            return output.new_tensor(handed[0]).reshape(output.shape)
        except Exception:  # noqa: BLE001  a large output is recorded as its summary only
            replayed.unkept.add(name)
            return None

    return hook

"""A PyTorch model whose parts are steps of the prediction that runs, by forward hooks.

    with record_modules(model, recorder, ["encoder", "head"]):
        with recorder.prediction(row) as p:
            p.output(model(tensor))

In: a module and the names of the parts to look at. Out: their outputs as steps: small ones as they are, of large ones shape, mean, standard
deviation, minimum, maximum and the share of numbers that are none. Outside a prediction a hook does nothing but ask whether there is one.
Reading a tensor of a GPU waits for the GPU: name the parts that matter, not all.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from whimbrel.errors import UsageError
from whimbrel.record.prediction import current
from whimbrel.record.recorder import Recorder

SMALL = 1024
"""Items of a tensor that are kept one by one."""


class record_modules:  # noqa: N801  it reads as what it does
    """Hooks on a model's parts until `remove()` or the end of the `with`.

    Args:
        model: a `torch.nn.Module`.
        recorder: the recorder of the app.
        names: parts as `model.named_modules()` calls them; its direct children where none is named.

    Raises:
        UsageError: the model has no part of a name.
    """

    def __init__(self, model: Any, recorder: Recorder, names: Sequence[str] | None = None) -> None:
        parts = dict(model.named_modules()) if names is not None else dict(model.named_children())
        unknown = [name for name in names or () if name not in parts]
        if unknown:
            raise UsageError(
                f"the model has no part {unknown[0]!r}", where="record_modules(names)",
                why=f"its parts are {', '.join(list(parts)[1:21])}", next="see model.named_modules()",
            )  # fmt: skip
        chosen = parts if names is None else {name: parts[name] for name in names}
        self._recorder = recorder
        self._hooks = [part.register_forward_hook(self._hook(name)) for name, part in chosen.items()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _hook(self, name: str) -> Any:
        def hook(module: Any, arguments: Any, output: Any) -> None:  # noqa: ARG001  torch's signature
            if current() is not None:
                try:
                    self._recorder.step(name, kept(output))
                except Exception as error:  # noqa: BLE001  the model runs on, whatever its tensors do
                    scope = current()
                    if scope is not None and scope.prediction is not None:
                        scope.prediction.lost(error)

        return hook


def kept(output: Any) -> Any:
    """A part's output as it is recorded."""
    if isinstance(output, dict):
        return {str(name): kept(value) for name, value in output.items()}
    if isinstance(output, list | tuple):
        return {str(i): kept(value) for i, value in enumerate(output)}
    if not hasattr(output, "detach"):
        return output
    tensor = output.detach()
    if tensor.numel() <= SMALL:
        plain = tensor.cpu()
        return (plain.float() if plain.dtype.is_floating_point else plain).numpy()
    numbers = tensor.float()
    told = [
        numbers.mean(),
        numbers.std(),
        numbers.min(),
        numbers.max(),
        numbers.isfinite().logical_not().float().mean(),
    ]
    mean, deviation, least, most, broken = (float(one) for one in told)
    shape = "×".join(map(str, tensor.shape))
    return {"shape": shape, "mean": mean, "std": deviation, "min": least, "max": most, "not_finite": broken}

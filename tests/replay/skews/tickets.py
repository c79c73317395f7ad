"""Which queue does a support ticket go to? A tokenizer and features before an ONNX model; a skew is this file with one line changed."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

import whimbrel
from whimbrel.doors.onnx import RecordedSession

HOME: str | None = None
recorder = whimbrel.Recorder("tickets", home=HOME)

LENGTH, WIDTH = 12, 16
CHANNELS = ["mail", "chat", "phone", "web"]
QUEUES = ["billing", "access", "delivery", "other"]
_TEXT = (
    "invoice refund card zahlung kündigung passwort password login can't won't l'adresse déjà reçu colis paket spät "
    "テスト 荷物 пароль оплата где don't order-4711 e-mail straße STRASSE naïve café ﬁle №5 １２３ urgent!!! help? ok thx"
)
WORDS = _TEXT.split()
VOCABULARY = {word: at for at, word in enumerate(["<pad>", "<unk>", *sorted({
    piece for word in WORDS for piece in re.findall(r"\w+", unicodedata.normalize("NFKC", word).casefold())
})])}  # fmt: skip


def weights(seed: int = 3) -> tuple[Any, Any]:
    """The model's matrix, shape (features, queues), and its bias."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.7, (WIDTH + 8, len(QUEUES))), rng.normal(0, 0.3, len(QUEUES))


def session(*, matrix: Any, bias: Any, kind: type = np.float32, threads: int = 1) -> Any:
    """A linear model with a softmax, as an ONNX Runtime session."""
    helper = onnx.helper
    of = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    sides = [helper.make_tensor_value_info("features", of, [None, WIDTH + 8]),
             helper.make_tensor_value_info("probabilities", of, [None, len(QUEUES)])]  # fmt: skip
    parts = [
        onnx.numpy_helper.from_array(np.asarray(value, kind), name) for name, value in (("w", matrix), ("b", bias))
    ]
    nodes = [helper.make_node("MatMul", ["features", "w"], ["raw"]), helper.make_node("Add", ["raw", "b"], ["logits"]),
             helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)]  # fmt: skip
    graph = helper.make_graph(nodes, "queues", sides[:1], sides[1:], parts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


MATRIX, BIAS = weights()
SESSION = session(matrix=MATRIX, bias=BIAS)
MODEL = RecordedSession(SESSION, recorder)


@recorder.step
def clean(text: str) -> str:
    """One form of each character, no case, single spaces."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


@recorder.step
def tokens(text: str) -> list[int]:
    """Numbers of words, cut and padded to one length."""
    found = [VOCABULARY.get(piece, 1) for piece in re.findall(r"\w+", text)]
    return found[:LENGTH] + [0] * (LENGTH - len(found))


@recorder.step
def features(ids: Sequence[int], text: str, channel: str, priority: int | None, waited_h: float) -> dict[str, float]:
    """Counts of words by bucket, and what is known beside the text."""
    out = dict.fromkeys((f"word{i}" for i in range(WIDTH)), 0.0)
    for one in ids:
        if one:
            out[f"word{one % WIDTH}"] += 1.0
    out |= {f"channel_{name}": float(channel == name) for name in CHANNELS}
    return {
        **out, "priority": 3.0 if priority is None else float(priority), "waited": float(np.log1p(waited_h)),
        "length": len(text) / 80, "known": sum(i > 1 for i in ids) / LENGTH,
    }  # fmt: skip


def predict(text: str, channel: str, priority: int | None, waited_h: float) -> Any:
    """The whole of it."""
    cleaned = clean(text)
    row = features(tokens(cleaned), cleaned, channel, priority, waited_h)
    chances = MODEL.run(None, {"features": np.array([list(row.values())], np.float32)})[0][0]
    p = recorder.current
    if p is not None:
        best = int(np.argmax(chances))
        p.decision(QUEUES[best] if chances[best] >= 0.4 else "human")
    return None


def inputs(rng: random.Random, _: int) -> dict[str, Any]:
    """One ticket, as messy as they come."""
    words = [w.upper() if rng.random() < 0.1 else w for w in rng.choices(WORDS, k=1 + int(rng.expovariate(0.12)))]
    return {
        "text": "".join(w + rng.choice([" ", " ", " ", "  ", "\u00a0", ", "]) for w in words) + "😀" * (rng.random() < 0.05),
        "channel": rng.choices(CHANNELS, (50, 30, 5, 15))[0],
        "priority": None if rng.random() < 0.03 else rng.randint(1, 5), "waited_h": round(rng.lognormvariate(1, 1.5), 3),
    }  # fmt: skip

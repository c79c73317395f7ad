"""How well the search names planted root causes: F1 by kind of case, layer, elements and noise.

python -m tests.slices.score            20 cases each
python -m tests.slices.score --n 100
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from time import process_time

import pyarrow as pa

from tests.slices.worlds import SIZES, Case, Named, f1, riskloc_s, squeeze_b, squeeze_d
from whimbrel.slices import slices

NOISES = (0.0, 0.01, 0.03, 0.08)
Make = Callable[[int, float], Case]


def found(case: Case) -> frozenset[Named]:
    """The slices that the search names in a leaf table, through the public door."""
    columns: dict[str, object] = {f"a{k}": [f"v{v}" for v in case.codes[:, k]] for k in range(len(SIZES))}
    table = pa.table(columns | {"real": case.real, "predict": case.predict})
    answer = slices(table)
    return frozenset(frozenset((int(c[1:]), int(str(v)[1:])) for c, v in one.where.items()) for one in answer.slices)


def kinds() -> Iterator[tuple[str, str, Make]]:
    """Every kind of case: family, layer and elements, and how to make one."""
    for family, make in (("B", squeeze_b), ("D", squeeze_d)):
        for layer in (1, 2, 3):
            for elements in (1, 2, 3):
                yield family, f"({layer},{elements})", partial(_made, make, layer=layer, elements=elements)
    for causes in (1, 2, 3):
        yield "S", f"{causes} causes", partial(_made, riskloc_s, causes=causes)


def _made(make: Callable[..., Case], seed: int, noise: float, **shape: int) -> Case:
    return make(seed, noise=noise, **shape)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20, help="cases of each kind at each noise")
    n = parser.parse_args().n
    print(f"{'':14}" + "".join(f"noise {noise:<6.0%}" for noise in NOISES) + "  CPU-s a case")
    for family, name, make in kinds():
        row, start = [], process_time()
        for noise in NOISES:
            cases = [make(7919 * seed + 11, noise) for seed in range(n)]
            row.append(sum(f1(found(case), case.truth) for case in cases) / n)
        cost = (process_time() - start) / n / len(NOISES)
        print(f"{family} {name:12}" + "".join(f"{score:<12.3f}" for score in row) + f"{cost:8.2f}", flush=True)


if __name__ == "__main__":
    main()

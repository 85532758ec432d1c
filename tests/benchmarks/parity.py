"""Parity of `hpsearch.nn` with PyTorch: the same weights and mini-batches, 20 steps, float64, CPU.

    pip install '.[benchmark]'
    python tests/benchmarks/parity.py [--json FILE]

Each case trains a `Network` of K = 2 lanes, whose hyperparameters differ, as `hpsearch/nn/training.py` does, and for
each lane a PyTorch model that starts from the lane's parameters. A cell is the largest relative difference of the two
along the 20 steps, over both lanes and both networks of `SHAPES`; "evaluation" are the logits of other samples in the
end. "moved" is the least distance of PyTorch's parameters from their start, as a share of their length: what there was
to differ in. Exits with 1 if a difference is above `BOUND`.

The relative difference of two arrays is the largest |a - b| / max(|a|, |b|, scale) of their elements, where scale is
the root mean square of PyTorch's array, and at least `FLOOR`: an element near zero is measured against what is usual in
its own array (a layer's weights, its biases, the logits of a mini-batch). A bias before batch normalisation, and the
running mean, are measured against the unit's running standard deviation instead, by which what they shift is divided:
in exact arithmetic that bias has no gradient, and Adam makes steps of its rounding errors, as it divides them by their
own size. They move running means, and evaluation with them, by some 1e-10; elsewhere rounding leaves some 1e-12.

Dropout masks are ours, as PyTorch draws other ones; it gets which units are dropped, and divides by 1 - p itself.

Momentum under a schedule differs by definition: ours is ``v <- m v - lr g; W <- W + v``, after Sutskever et al. 2013,
PyTorch's ``v <- m v + g; W <- W - lr v``, the same only while lr stays the same. There PyTorch's velocity is multiplied
by old lr / new lr whenever lr changes, which makes it the former.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from parity_cases import EPOCHS, LANES, STEPS, Case, cases
from torch_twin import FLOOR, Differences, Masks, Twin, numbers, torch

from hpsearch.nn import (
    OPTIMIZERS,
    Initializer,
    Network,
    Optimizer,
    Purpose,
    SoftmaxCrossEntropy,
    TrainingData,
    initializer,
    lane_rng,
    lane_rngs,
    train,
)
from hpsearch.nn.lanes import Floats

BOUND = 1e-8
"""Above this a case fails. A gradient or a rate that is wrong by a millionth of itself gives about 1e-6."""
SEED, VALIDATION = 1, 30
SHAPES: Mapping[str, tuple[tuple[int, ...], int]] = {
    "20-16-12-5": ((20, 16, 12, 5), 10),
    "784-100x6-10": ((784, *[100] * 6, 10), 100),
}
"""Layer sizes and mini-batch size: a small network, and the book's."""
QUANTITIES = ("parameters", "logits", "losses", "evaluation", "statistics")


def our_optimizer(case: Case) -> Optimizer:
    kind: Callable[..., Optimizer] = OPTIMIZERS[case.optimizer]
    return kind(lr=case.lr, weight_decay=case.weight_decay, **case.hyperparameters)


def compare(case: Case, sizes: Sequence[int], rows: int) -> list[dict[str, float]]:
    """Train a case on a network of these sizes; the largest differences of each lane, by quantity."""
    network = Network(
        sizes,
        rngs=lane_rngs(SEED, range(LANES), Purpose.WEIGHTS),
        activation=case.activation,
        initializers=case.initializers,
        batch_norm=case.batch_norm,
        dropout=case.dropout,
        dropout_rngs=[] if case.dropout is None else lane_rngs(SEED, range(LANES), Purpose.DROPOUT),
        dtype=np.float64,
    )
    twins = [Twin(case, sizes, network, lane) for lane in range(LANES)]
    seen = [Differences() for _ in twins]
    rng = np.random.default_rng(SEED)
    samples = rows * STEPS - (rows // 3 if case.whole else 0)
    images = rng.standard_normal((samples + VALIDATION, sizes[0]))
    labels = rng.integers(sizes[-1], size=len(images))
    data = TrainingData(images[:samples], labels[:samples], images[samples:], labels[samples:])
    (_train_whole if case.whole else _train_by_steps)(case, network, twins, data, rows, seen)
    logits = network.infer(data.validation_images[None])
    for lane, (twin, one) in enumerate(zip(twins, seen, strict=True)):
        one.see("evaluation", logits[lane], twin.evaluate(data.validation_images, data.validation_labels)[0])
        twin.compare(one)
    return [{**one.worst, "moved": twin.moved()} for twin, one in zip(twins, seen, strict=True)]


def _train_by_steps(
    case: Case, network: Network, twins: list[Twin], data: TrainingData, rows: int, seen: list[Differences]
) -> None:
    """The steps of hpsearch/nn/training.py one by one, with a comparison after each."""
    optimizer, masks = our_optimizer(case), Masks(case, network.sizes, rows, seed=SEED)
    loss = SoftmaxCrossEntropy(LANES, rows, network.sizes[-1], network.dtype)
    loss.select(LANES, rows)
    losses, correct = np.zeros((LANES, rows)), np.zeros((LANES, rows), dtype=np.bool_)
    orders = lane_rngs(SEED, range(LANES), Purpose.ORDER)
    for epoch in range(EPOCHS):
        order = np.stack([rng.permutation(len(data.images)) for rng in orders])  # (K, N)
        for step in range(STEPS):
            if case.schedules is not None:
                done = epoch * STEPS + step
                optimizer.scale_lr([s.factor(done, steps=STEPS, epochs=EPOCHS) for s in case.schedules])
            part = order[:, step * rows : (step + 1) * rows]  # (K, B)
            batch, labels = data.images[part], data.labels[part]  # (K, B, D), (K, B)
            logits = network.forward(batch.copy())
            loss.forward(logits, labels.astype(np.intp), losses=losses, correct=correct)
            dropped = masks.next(rows)
            for lane, (twin, one) in enumerate(zip(twins, seen, strict=True)):
                their_logits, their_losses = twin.step(batch[lane], labels[lane], dropped[lane])
                one.see("logits", logits[lane], their_logits)
                one.see("losses", losses[lane], their_losses)
            network.backward(loss.backward(optimizer.gradient_scale))
            for lane, (twin, one) in enumerate(zip(twins, seen, strict=True)):
                optimizer.update(lane, network.values[lane], network.gradient(lane), weights=network.weights)
                twin.compare(one)
        for twin in twins:
            twin.end_epoch()


def _train_whole(
    case: Case, network: Network, twins: list[Twin], data: TrainingData, rows: int, seen: list[Differences]
) -> None:
    """`train` from end to end, then PyTorch over the same orders of samples; losses are each epoch's."""
    histories = train(
        network,
        our_optimizer(case),
        data,
        batch_size=rows,
        epochs=EPOCHS,
        rngs=lane_rngs(SEED, range(LANES), Purpose.ORDER),
        schedules=case.schedules,
    )
    masks, orders = Masks(case, network.sizes, rows, seed=SEED), lane_rngs(SEED, range(LANES), Purpose.ORDER)
    curves: list[dict[str, list[float]]] = [{"train_loss": [], "validation_loss": []} for _ in twins]
    for _ in range(EPOCHS):
        order = np.stack([rng.permutation(len(data.images)) for rng in orders])  # (K, N)
        losses: list[list[Floats]] = [[] for _ in twins]
        for start in range(0, order.shape[1], rows):
            part = order[:, start : start + rows]
            dropped = masks.next(part.shape[1])
            for lane, twin in enumerate(twins):
                losses[lane].append(twin.step(data.images[part[lane]], data.labels[part[lane]], dropped[lane])[1])
        for lane, twin in enumerate(twins):
            twin.end_epoch()
            curves[lane]["train_loss"].append(float(np.mean(np.concatenate(losses[lane]))))
            curves[lane]["validation_loss"].append(twin.evaluate(data.validation_images, data.validation_labels)[1])
    for lane, one in enumerate(seen):
        for name, curve in curves[lane].items():
            one.see("losses", histories[lane].curves()[name], curve)


@dataclass(frozen=True, slots=True)
class Spread:
    """An initialiser's weights beside PyTorch's."""

    name: str
    theirs: str
    std: float
    formula: float
    standard_errors: float


SPREAD_SHAPE = 784, 100
SPREAD_BOUND = 4.0
"""Standard errors that a standard deviation may be from the formula's; the seed is fixed, so that it always passes."""


def spreads() -> Iterator[Spread]:
    """The standard deviation of our weights, and of PyTorch's formula: its draw over the standard normals it drew."""
    init = torch.nn.init
    peers: Mapping[str, tuple[Initializer, str, Callable[[Any], Any]]] = {
        "he": (initializer("he"), "kaiming_normal_", init.kaiming_normal_),
        "xavier": (
            initializer("xavier"),
            "kaiming_normal_, linear (LeCun)",
            lambda t: init.kaiming_normal_(t, nonlinearity="linear"),
        ),
        "glorot": (initializer("glorot"), "xavier_normal_", init.xavier_normal_),
        "normal 0.01": (initializer("normal"), "normal_, std 0.01", lambda t: init.normal_(t, std=0.01)),
        "zeros": (initializer("zeros"), "zeros_", init.zeros_),
        "constant 0.1": (initializer("constant"), "constant_, 0.1", lambda t: init.constant_(t, 0.1)),
    }
    for name, (draw, what, fill) in peers.items():
        ours = draw(SPREAD_SHAPE, rng=lane_rng(SEED, 0, Purpose.WEIGHTS))
        torch.manual_seed(SEED)
        theirs = numbers(fill(torch.empty(SPREAD_SHAPE[::-1], dtype=torch.float64))).T  # (H, D) -> (D, H)
        torch.manual_seed(SEED)
        plain = numbers(init.normal_(torch.empty(SPREAD_SHAPE[::-1], dtype=torch.float64))).T
        formula = float(np.median(theirs / plain)) if np.ptp(theirs) else 0.0
        if formula:
            error = formula / math.sqrt(2 * ours.size)
            away = max(abs(ours.std() - formula) / error, abs(ours.mean()) * math.sqrt(ours.size) / formula)
        else:
            away = 0.0 if np.array_equal(ours, theirs) else math.inf
        yield Spread(name, what, float(ours.std()), formula, float(away))


def rows_of_table() -> Iterator[dict[str, Any]]:
    """A row a case: the worst of each quantity, and all that it is the worst of."""
    for case in cases():
        found = {
            shape: [{key: lane.get(key) for key in (*QUANTITIES, "moved")} for lane in compare(case, *sizes)]
            for shape, sizes in SHAPES.items()
        }
        lanes = [lane for both in found.values() for lane in both]
        worst: dict[str, float | None] = {}
        for quantity in QUANTITIES:
            values = [value for lane in lanes if (value := lane[quantity]) is not None]
            worst[quantity] = float(np.max(values)) if values else None
        moved = min(lane["moved"] or 0.0 for lane in lanes)
        within = all(value is None or value <= BOUND for value in worst.values())  # a nan is not
        yield {"group": case.group, "case": case.name, **worst, "moved": moved, "within": within, "networks": found}


def cell(value: float | None) -> str:
    return "" if value is None else f"{value:.0e}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Parity of hpsearch.nn with PyTorch, as a Markdown table.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to a file too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"NumPy {np.__version__}, PyTorch {torch.__version__}, float64, CPU; {LANES} lanes; {EPOCHS * STEPS} steps; "
        f"{' and '.join(f'{shape} (B = {rows})' for shape, (_, rows) in SHAPES.items())}. "
        f"Largest relative differences; bound {BOUND:.0e}."
    )
    print(f"\n| | case | {' | '.join(QUANTITIES)} | moved |\n|---|---|{'---|' * (len(QUANTITIES) + 1)}")
    rows = []
    for row in rows_of_table():
        rows.append(row)
        mark = "" if row["within"] else " **above the bound**"
        cells = " | ".join(cell(row[quantity]) for quantity in QUANTITIES)
        print(f"| {row['group']} | {row['case']}{mark} | {cells} | {row['moved']:.3f} |", flush=True)
    print("\n| initialiser | PyTorch's | std of our weights | std of PyTorch's formula | standard errors apart |")
    print("|---|---|---|---|---|")
    found = list(spreads())
    for one in found:
        print(f"| {one.name} | {one.theirs} | {one.std:.5f} | {one.formula:.5f} | {one.standard_errors:.1f} |")
    failed = [row["case"] for row in rows if not row["within"]]
    failed += [one.name for one in found if not one.standard_errors <= SPREAD_BOUND]
    if arguments.json is not None:
        plain = {"bound": BOUND, "floor": FLOOR, "torch": torch.__version__, "numpy": np.__version__, "rows": rows}
        plain["initialisers"] = [asdict(one) for one in found]
        arguments.json.write_text(json.dumps(plain, indent=1) + "\n")
    if failed:
        print(f"above the bound: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

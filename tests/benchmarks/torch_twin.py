"""One lane of a `Network` in PyTorch, for `parity.py`."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from parity_cases import EPOCHS, HYPERPARAMETERS, LANES, STEPS, Case

from hpsearch.nn import Affine, BatchNorm, Dropout, Network, Purpose, Schedule, lane_rngs
from hpsearch.nn.lanes import Floats

try:
    import torch as torch  # exported: who imports it from here needs no message of its own
except ImportError:
    sys.exit("the comparison needs PyTorch, which is missing: pip install '.[benchmark]'")

FLOOR = 1e-2
"""The least scale of a relative difference."""

Labels: TypeAlias = NDArray[np.integer[Any]]


def difference(ours: Any, theirs: Any, scale: Floats | None = None) -> float:
    """The largest relative difference of two arrays' elements, as parity.py says; nan if either holds one."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} differ")
    if scale is None:
        scale = np.maximum(np.sqrt(np.mean(b * b)), FLOOR)
    return float(np.max(np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), scale)))


class Differences:
    """The largest difference seen of each quantity."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = {}

    def see(self, quantity: str, ours: Any, theirs: Any, scale: Floats | None = None) -> None:
        # np.maximum, as max() may pass over a nan.
        self.worst[quantity] = float(np.maximum(self.worst.get(quantity, 0.0), difference(ours, theirs, scale)))


def numbers(tensor: Any) -> Floats:
    array: Floats = tensor.detach().numpy()
    return array


def running_std(module: Any) -> Floats | None:
    """The running standard deviation of each unit that PyTorch's batch normalisation divides by, if it is one."""
    return np.sqrt(numbers(module.running_var)) if isinstance(module, torch.nn.BatchNorm1d) else None


class Masks:
    """Which units the network will drop: dropout layers made like its own, which draw from copies of its generators."""

    def __init__(self, case: Case, sizes: Sequence[int], rows: int, *, seed: int) -> None:
        rngs = lane_rngs(seed, range(LANES), Purpose.DROPOUT)
        self._layers = [] if case.dropout is None else [Dropout(n, case.dropout, rngs=rngs) for n in sizes[1:-1]]
        self._sizes = sizes[1:-1]
        for layer in self._layers:
            layer.reserve(LANES, rows, np.dtype(np.float64))

    def next(self, rows: int) -> list[list[Any]]:
        """By lane and hidden layer, for a mini-batch: 1 where a unit is kept and 0 where it is dropped, (B, H)."""
        kept = []
        for layer, units in zip(self._layers, self._sizes, strict=False):
            layer.select(LANES, rows)
            kept.append(layer.forward(np.ones((LANES, rows, units))) != 0)
        return [[torch.from_numpy(one[lane].astype(np.float64)) for one in kept] for lane in range(LANES)]


def torch_optimizer(case: Case, lane: int, groups: list[dict[str, Any]]) -> Any:
    """PyTorch's optimizer with the lane's hyperparameters; those not given are the chapter's defaults."""
    defaults = {name: pair[0] for name, pair in HYPERPARAMETERS[case.optimizer].items()}
    given = defaults | {name: pair[lane] for name, pair in case.hyperparameters.items()}
    lr, optim = case.lr[lane], torch.optim
    match case.optimizer:
        case "sgd" | "momentum":
            return optim.SGD(groups, lr=lr, **given)
        case "nesterov":
            return optim.SGD(groups, lr=lr, nesterov=True, **given)
        case "adagrad":
            return optim.Adagrad(groups, lr=lr, **given)
        case "rmsprop":
            return optim.RMSprop(groups, lr=lr, alpha=given["rho"], eps=given["eps"])
        case "adam" | "adamw":
            kind = optim.Adam if case.optimizer == "adam" else optim.AdamW
            return kind(groups, lr=lr, betas=(given["beta1"], given["beta2"]), eps=given["eps"])
    raise ValueError(case.optimizer)


def torch_schedulers(schedule: Schedule, optimizer: Any) -> tuple[list[Any], list[Any]]:
    """PyTorch's schedulers to step after every mini-batch, and after every epoch."""
    kinds, rate = torch.optim.lr_scheduler, schedule.decay ** (1 / (schedule.decay_epochs * STEPS))
    growth = (1 / schedule.decay - 1) / (schedule.decay_epochs * STEPS)
    warmup = round(schedule.warmup_epochs * STEPS)
    often, seldom = [], []
    match schedule.name:
        case "step":
            seldom.append(kinds.StepLR(optimizer, int(schedule.decay_epochs), schedule.decay))
        case "exponential":
            often.append(kinds.ExponentialLR(optimizer, rate))
        case "inverse_time":
            often.append(kinds.LambdaLR(optimizer, lambda done: 1 / (1 + growth * done)))
        case "cosine":
            often.append(kinds.CosineAnnealingLR(optimizer, EPOCHS * STEPS))
    if warmup:
        often.append(kinds.LinearLR(optimizer, 1 / warmup, total_iters=warmup - 1))
    return often, seldom


class Twin:
    """One lane in PyTorch: a model that starts from the lane's parameters, its optimizer and its schedulers."""

    def __init__(self, case: Case, sizes: Sequence[int], network: Network, lane: int) -> None:
        nn = torch.nn
        activation = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}[case.activation]
        self._hidden = [
            [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if case.batch_norm else []), activation()]
            for a, b in pairwise(sizes[:-1])
        ]
        self._last = nn.Linear(sizes[-2], sizes[-1])
        self._model = nn.ModuleList([*(module for block in self._hidden for module in block), self._last]).double()
        self._network, self._lane = network, lane
        with torch.no_grad():
            for _, ours, theirs, _ in self._arrays():
                theirs.copy_(torch.from_numpy(ours.copy()))
        self._start = [numbers(theirs).copy() for _, _, theirs, _ in self._arrays()]
        weights = [module.weight for module in self._model if isinstance(module, nn.Linear)]
        others = [p for p in self._model.parameters() if all(p is not weight for weight in weights)]
        groups = [
            {"params": weights, "weight_decay": case.weight_decay[lane]},
            {"params": others, "weight_decay": 0.0},
        ]
        self._optimizer = torch_optimizer(case, lane, groups)
        schedule = Schedule() if case.schedules is None else case.schedules[lane]
        self._often, self._seldom = torch_schedulers(schedule, self._optimizer)
        self._lr = self._optimizer.param_groups[0]["lr"]
        self._dropped = 0.0 if case.dropout is None else case.dropout[lane]

    def _arrays(self) -> Iterator[tuple[str, Floats, Any, Floats | None]]:
        """Quantity, our array (a view) in PyTorch's shape, PyTorch's, and the scale where it is not the array's own."""
        layers = zip(self._network.layers, self._network.parameters, strict=True)
        named = [(layer, own) for layer, own in layers if isinstance(layer, Affine | BatchNorm)]
        modules = [module for module in self._model if hasattr(module, "weight")]
        for (layer, own), module, following in zip(named, modules, [*modules[1:], None], strict=True):
            mine = {name: array[self._lane] for name, array in own.items()}
            if isinstance(layer, BatchNorm):
                yield "parameters", mine["gamma"][0], module.weight, None
                yield "parameters", mine["beta"][0], module.bias, None
                yield "statistics", mine["mean"][0], module.running_mean, running_std(module)
                yield "statistics", mine["variance"][0], module.running_var, None
            else:
                yield "parameters", mine["weight"].T, module.weight, None
                yield "parameters", mine["bias"][0], module.bias, running_std(following)

    def forward(self, images: Floats, masks: Sequence[Any] = (), *, training: bool) -> Any:
        self._model.train(training)
        x = torch.from_numpy(images.copy())
        for i, block in enumerate(self._hidden):
            for module in block:
                x = module(x)
            if masks:
                x = x * masks[i] / (1 - self._dropped)
        return self._last(x)

    def step(self, images: Floats, labels: Labels, masks: Sequence[Any]) -> tuple[Floats, Floats]:
        """One step of training; logits (B, C) and the loss of each sample (B,)."""
        logits = self.forward(images, masks, training=True)
        losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels.copy()), reduction="none")
        self._optimizer.zero_grad()
        losses.mean().backward()
        self._rescale_velocity()
        self._optimizer.step()
        for scheduler in self._often:
            scheduler.step()
        return numbers(logits), numbers(losses)

    def _rescale_velocity(self) -> None:
        """Give momentum under a schedule our meaning: the velocity that it holds, times -lr, is the one of ours."""
        lr = self._optimizer.param_groups[0]["lr"]
        for state in self._optimizer.state.values():
            if state.get("momentum_buffer") is not None and lr != self._lr:
                state["momentum_buffer"] *= self._lr / lr
        self._lr = lr

    def end_epoch(self) -> None:
        for scheduler in self._seldom:
            scheduler.step()

    def evaluate(self, images: Floats, labels: Labels) -> tuple[Floats, float]:
        """Logits (V, C) and the mean loss, as in evaluation."""
        with torch.no_grad():
            logits = self.forward(images, training=False)
            return numbers(logits), float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)))

    def compare(self, seen: Differences) -> None:
        for quantity, ours, theirs, scale in self._arrays():
            seen.see(quantity, ours, numbers(theirs), scale)

    def moved(self) -> float:
        """How far the parameters are from their start, as a share of how large they are (root sums of squares)."""
        pairs = zip(self._arrays(), self._start, strict=True)
        parameters = [(numbers(now), before) for (quantity, _, now, _), before in pairs if quantity == "parameters"]
        away = sum(float(np.sum((now - before) ** 2)) for now, before in parameters)
        return math.sqrt(away / sum(float(np.sum(now**2)) for now, _ in parameters))

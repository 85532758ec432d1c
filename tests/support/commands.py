"""What running a command gives, as the ``cli`` fixture returns it, and the study file that the tests run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
Made = Callable[..., Cli]
"""Gives the command line in a folder where commands have run after one another, as the ``made`` fixture does."""

START = "start tiny.toml --engine inline"
TRAIN = "train tiny.toml --set batch_norm=true --set lr=0.3 --save net.npz"

TINY = """\
name = "tiny"
[data]
name = "mnist-10k"
train = 60
validation = 40
[network]
hidden = [8]
[training]
epochs = 3
batch_size = 20
[space]
lr = { low = 1e-3, high = 1.0, log = true }
weight_decay = { low = 1e-8, high = 1e-4, log = true }
[trials]
count = 8
"""
HELD_OUT = TINY.replace("validation = 40", "validation = 40\ntest = 100")
DIVERGING = TINY.replace("low = 1e-3, high = 1.0", "low = 1e30, high = 1e32")

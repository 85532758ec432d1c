"""Functions of trials, as users write them: worker processes import this module by name."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hpsearch.records import draw_seed


class Tensor:
    """What a torch tensor is to who only wants its number."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __float__(self) -> float:
        if len(self.values) != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.values[0]


def _raise(error: BaseException) -> Callable[[Any], float]:
    def raises(trial: Any) -> float:
        print("on the way to an error")
        raise error

    return raises


def _two_ranges(trial: Any) -> float:
    trial.suggest_float("y", 0.0, 1.0)
    return float(trial.suggest_float("y", 0.0, 2.0))


def _prints(trial: Any) -> float:
    for _ in range(50_000):
        print("a line of output that nobody reads")
    raise ValueError("the end")


def _forks(trial: Any) -> float:
    """Leave a process behind that keeps the pipes open, and exit."""
    subprocess.Popen(["/bin/sleep", "60"], start_new_session=False)
    os._exit(0)


def _hangs_in_c(trial: Any) -> float:
    """Wait in C without giving the interpreter to another thread, deaf to what ends processes kindly."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).sleep(60)
    return 0.0


def _leaks(trial: Any) -> float:
    """Take memory until there is no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))
    hoard: list[Any] = []
    try:
        while True:
            hoard.append(np.empty(1 << 28, np.uint8))  # which takes addresses alone
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _wanders(trial: Any) -> float:
    """Leave the working folder and the environment as no other trial wants them."""
    os.chdir("/")
    os.environ["HOME"] = "nowhere"
    random.seed(0)
    return 1.0


def _leaves_a_thread(trial: Any) -> float:
    threading.Thread(target=time.sleep, args=(60,), daemon=False).start()
    return 1.0


class Bad(NamedTuple):
    """A function, and what becomes of its trial."""

    call: Callable[[Any], Any]
    reason: str | None  # in the reason of its failure; None: it has the score 1
    ended: str | None = None  # how it failed
    output: str = ""  # in the end of its output


BAD: Mapping[str, Bad] = {
    "good": Bad(lambda trial: 1.0, None),
    "raises": Bad(_raise(ValueError("too\n  bad")), "ValueError: too bad", "exception", "on the way to an error"),
    "none": Bad(lambda trial: None, "the objective returned None; return a number", "result"),
    "nan": Bad(lambda trial: float("nan"), "the score is nan", "result"),
    "infinite": Bad(lambda trial: float("inf"), "the score is inf", "result"),
    "text": Bad(lambda trial: "0.5", "the objective returned str '0.5'", "result"),
    "metric": Bad(lambda trial: {"score": 1, "name": "a"}, "name is str 'a'; give a number", "result"),
    "list": Bad(lambda trial: [1.0, 2.0], "the objective returned list [1.0, 2.0]", "result"),
    "dict": Bad(lambda trial: {"accuracy": 1.0}, "a dict needs 'score'", "result"),
    "numpy": Bad(lambda trial: np.float32(1.0), None),
    "whole": Bad(lambda trial: np.int64(1), None),
    "decimal": Bad(lambda trial: Decimal(1), None),
    "tensor": Bad(lambda trial: Tensor(1.0), None),
    "huge": Bad(lambda trial: 10**400, "the objective returned int, which does not convert to one number", "result"),
    "tensors": Bad(
        lambda trial: Tensor(1.0, 2.0),
        "the objective returned Tensor, which does not convert to one number",
        "result",
    ),
    "prints": Bad(_prints, "ValueError: the end", "exception", "nobody reads"),
    "sys.exit": Bad(lambda trial: sys.exit(3), "the objective called sys.exit(3)", "exception"),
    "interrupt": Bad(_raise(KeyboardInterrupt()), "KeyboardInterrupt", "exception"),
    "leaks": Bad(_leaks, "Unable to allocate 256", "memory"),
    "out of memory": Bad(
        lambda trial: os.kill(os.getpid(), signal.SIGKILL), "perhaps because memory ran out", "signal"
    ),
    "os._exit": Bad(lambda trial: os._exit(3), "exit code 3", "exit"),
    "fork returns": Bad(lambda trial: 1.0 + 0 * os.fork(), None),
    "forks": Bad(_forks, "exit code 0", "exit"),
    "segfault": Bad(lambda trial: os.kill(os.getpid(), signal.SIGSEGV), "killed by signal 11 (SIGSEGV)", "signal"),
    "hangs": Bad(_hangs_in_c, "no result within 2 s", "timeout"),
    "wanders": Bad(_wanders, None),
    "two ranges": Bad(_two_ranges, "'y' is suggested with two ranges", "exception"),
    "attribute": Bad(lambda trial: trial.set_user_attr("x", object()), "TypeError", "exception"),
    "thread": Bad(_leaves_a_thread, None),
}


def bad(trial: Any) -> Any:
    """Print the process group, check that the trial before has changed nothing, and do as the parameter says."""
    print("group:", os.getpgrp(), flush=True)
    assert os.environ["HOME"] != "nowhere"
    assert Path.cwd() != Path("/")
    return BAD[trial.params["bad"]].call(trial)


def fits(params: Mapping[str, Any]) -> bool:
    """A constraint."""
    return bool(params["batch"] == 32 and params["layers"] != 5 and params.get("wd", 1) != 0.5)


def square(trial: Any) -> float:
    """A trial of a microsecond."""
    return float((trial.params["x"] - 0.3) ** 2)


def loss(trial: Any) -> float:
    """Return a loss of a learning rate and a depth."""
    return float((trial.params["lr"] - 0.3) ** 2 + trial.params["depth"])


def declares(trial: Any) -> float:
    """Return a loss of what it declares itself, as an objective of Optuna."""
    x = trial.suggest_float("x", 0.0, 1.0)
    return float((x - 0.3) ** 2 + (trial.suggest_int("k", 1, 3) if x < 0.5 else 4))


def conditional(trial: Any) -> float:
    """An objective for Optuna, in the spirit of its examples: conditional parameters, pruning."""
    import optuna

    kind = trial.suggest_categorical("classifier", ["svc", "forest"])
    if kind == "svc":
        score = abs(trial.suggest_float("svc_c", 1e-3, 1e3, log=True) - 1)
    else:
        score = trial.suggest_int("forest_depth", 2, 32, log=True) / 8
    for step in range(8):
        trial.report(score + 1 / (step + 1), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("classifier", kind)
    return float(score)


def dies_again(trial: Any) -> float:
    """End the process in trial 0, where that is run again with another seed."""
    if trial.number == 0 and trial.seed != draw_seed(trial.study.seed, 0, "objective"):
        os._exit(3)
    return 1.0


def reports_for_seconds(trial: Any) -> float:
    """Report 300 points."""
    for step in range(300):
        trial.report(step, step)
        time.sleep(0.01)
    return 0.0


def samples(trial: Any) -> dict[str, float]:
    """Return the process, and a sample from the global generators, which another trial may have used."""
    sample = random.random() + np.random.random()  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    return {"score": sample, "process": os.getpid()}


def hang(trial: Any) -> float:
    """Write the process group to a file, and wait in C for ever."""
    unfinished = Path(f"{trial.params['file']}~")
    unfinished.write_text(str(os.getpgrp()))
    unfinished.replace(trial.params["file"])
    return _hangs_in_c(trial)


def counting(trial: Any) -> float:
    """Report ten points, 10 x to x; stop where that is asked for."""

    class TrialPruned(Exception):
        """As Optuna's."""

    for step in range(0, 100, 10):
        trial.report(trial.params["x"] * (10 - step / 10), step)
        if trial.should_prune():
            raise TrialPruned
    return float(trial.params["x"])


def ignorant(trial: Any) -> float:
    """Report ten points, whatever is asked for."""
    for step in range(10):
        trial.report(step, step)
    return 0.0


NOT_CALLABLE = 3

"""Rounds: every contender once, one after another, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.

    Args:
        seconds: What is compared.
        details: What else was seen.
    """

    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)


Measure: TypeAlias = Callable[[int], Sample]
"""Takes one measurement, in the round of that number."""


def turn(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: each contender comes first in its turn, so that none always follows the same one."""
    at = number % len(names) if names else 0
    return [*names[at:], *names[:at]]


def interleave(part: str, contenders: Mapping[str, Measure], *, rounds: int) -> dict[str, list[Sample]]:
    """Measure all contenders in every round; progress goes to standard error."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in turn(list(contenders), number):
            sample = contenders[name](number)
            samples[name].append(sample)
            print(f"{part}, round {number + 1}/{rounds}: {name}: {sample.seconds:.3f} s", file=sys.stderr, flush=True)
    return samples


def seconds_of(samples: Sequence[Sample]) -> list[float]:
    """The seconds by round."""
    return [sample.seconds for sample in samples]


def details_of(samples: Sequence[Sample], name: str) -> list[Any]:
    """One of the details by round."""
    return [sample.details[name] for sample in samples]

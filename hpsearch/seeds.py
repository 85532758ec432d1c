"""Seeds from identity, never from order: of a stage, and of each draw of each of its trials."""

from __future__ import annotations

import hashlib


def stage_seed(search_seed: int, number: int) -> int:
    """Return the seed of a search's stage: the search's own for stage 1, another one for each later stage.

    Were it the same, trial N of every stage would lie at the same place of its range and start from the same
    weights, and the stages would not be independent samples.
    """
    return search_seed if number == 1 else draw_seed(search_seed, number, "stage")


def draw_seed(seed: int, number: int, name: str) -> int:
    """Return the seed of the draw of this name (a parameter's) in the trial with this number of a stage."""
    # 32 bits, as NumPy's RandomState takes no more. Hashing keeps neighbouring trials' streams unrelated.
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "big")

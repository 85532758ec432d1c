"""The validation examples that a trial got right, as short text that a database keeps."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def pack(hits: NDArray[np.bool_]) -> str:
    """Return hits, shape (V,), in the order of the validation set, as text: 4 characters for 24 examples."""
    import numpy as np  # quick commands read hits with `as_number` and do without

    return base64.b64encode(np.packbits(hits).tobytes()).decode("ascii")


def unpack(text: str, examples: int) -> NDArray[np.bool_]:
    """Return the hits that `pack` made text of, shape (V,).

    Raises:
        BadInput: It is no such text, or of another number of examples.
    """
    import numpy as np  # as in `pack`

    return np.unpackbits(np.frombuffer(_bytes(text, examples), dtype=np.uint8), count=examples).astype(np.bool_)


def as_number(text: str, examples: int) -> int:
    """Return the hits that `pack` made text of as a whole number whose ones are the hits.

    Raises:
        BadInput: It is no such text, or of another number of examples.
    """
    return int.from_bytes(_bytes(text, examples), "big") >> -examples % 8


def hits_match_score(right: int, score: float, examples: int) -> bool:
    """Return whether so many hits make a score: those of another epoch, or from another program, do not."""
    return abs(right - score * examples) < 0.5


def matching(text: str, examples: int, score: float | None) -> int | None:
    """Return a trial's hits as a whole number; None where they cannot be read or do not make its score.

    Args:
        text: From `pack`.
        examples: Their number.
        score: The share of them that were right; None: not to be checked.
    """
    try:
        hits = as_number(text, examples)
    except BadInput:
        return None
    return hits if score is None or hits_match_score(hits.bit_count(), score, examples) else None


def _bytes(text: str, examples: int) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadInput(f"hits that are no base64 ({error})") from error
    if len(packed) != -(-examples // 8):
        raise BadInput(f"hits of {8 * len(packed)} examples at most, not of {examples}")
    return packed

"""Which validation images a trial got right, as short text that a database keeps."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def pack(hits: NDArray[np.bool_]) -> str:
    """Hits as text, 4 characters for 24 images.

    Args:
        hits: (V,), True where an image was classified right, in the order of the validation set.
    """
    import numpy as np

    return base64.b64encode(np.packbits(hits).tobytes()).decode("ascii")


def unpack(text: str, images: int) -> NDArray[np.bool_]:
    """What `pack` made text of, (V,).

    Args:
        text: From `pack`.
        images: V, how many there are.

    Raises:
        BadInput: It is no such text, or of another number of images.
    """
    import numpy as np

    return np.unpackbits(np.frombuffer(_bytes(text, images), dtype=np.uint8), count=images).astype(np.bool_)


def as_number(text: str, images: int) -> int:
    """What `pack` made text of as a whole number whose ones are the hits.

    Comparing trials is then counting bits, for which commands that show a few rows need no NumPy.

    Args:
        text: From `pack`.
        images: V, how many there are.

    Raises:
        BadInput: It is no such text, or of another number of images.
    """
    return int.from_bytes(_bytes(text, images), "big") >> -images % 8


def hits_match_score(right: int, score: float, images: int) -> bool:
    """Whether so many hits make a score: those of another epoch, or of somebody else's making, do not."""
    return abs(right - score * images) < 0.5


def fitting(text: str, images: int, score: float | None) -> int | None:
    """The hits of a trial as a whole number (`as_number`); None where they cannot be read or do not make its score.

    Args:
        text: From `pack`.
        images: How many there are.
        score: The share of them that were right; None where the score is none, and nothing can be checked.
    """
    try:
        hits = as_number(text, images)
    except BadInput:
        return None
    return hits if score is None or hits_match_score(hits.bit_count(), score, images) else None


def _bytes(text: str, images: int) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadInput(f"hits that are no base64 ({error})") from error
    if len(packed) != -(-images // 8):
        raise BadInput(f"hits of {8 * len(packed)} images at most, not of {images}")
    return packed

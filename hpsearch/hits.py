"""Which validation images a trial got right, as short text that a database keeps."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pack(hits: NDArray[np.bool_]) -> str:
    """Hits as text, 4 characters for 24 images.

    Args:
        hits: (V,), True where an image was classified right, in the order of the validation set.
    """
    return base64.b64encode(np.packbits(hits).tobytes()).decode("ascii")


def unpack(text: str, images: int) -> NDArray[np.bool_]:
    """What `pack` made text of, (V,).

    Args:
        text: From `pack`.
        images: V, how many there are.

    Raises:
        BadInput: It is no such text, or of another number of images.
    """
    try:
        packed = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
    except (binascii.Error, TypeError, ValueError) as error:
        raise BadInput(f"hits that are no base64 ({error})") from error
    if len(packed) != -(-images // 8):
        raise BadInput(f"hits of {8 * len(packed)} images at most, not of {images}")
    return np.unpackbits(packed, count=images).astype(np.bool_)

"""What a refused study file says."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.errors import BadStudyFile


def one_line(call: Any, *arguments: Any, **options: Any) -> str:
    """The message with which something is refused."""
    with pytest.raises(BadStudyFile) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert caught.value.exit_code == 2
    return message

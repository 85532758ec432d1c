from __future__ import annotations

import pytest

from hpsearch import errors
from hpsearch.errors import Argument, BadInput, HpsearchError, Interrupted, nearest


def test_exit_codes() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HpsearchError)]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.__doc__
        expected = 2 if issubclass(kind, BadInput) else 130 if kind is Interrupted else 1
        assert kind.exit_code == expected, kind


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("mnsit", ["overfit", "mnist"], "; did you mean 'mnist'? known: mnist, overfit"),
        ("zzz", ["overfit", "mnist"], "; known: mnist, overfit"),
        ("zzz", [], "; known: (none)"),
        ("", iter(["a"]), "; known: a"),
        ("stop", ["best"], "; known: best"),  # half of the letters are not near
    ],
)
def test_nearest(name: str, known: list[str], says: str) -> None:
    assert nearest(name, known) == says


def test_a_name_with_braces_stays_as_it_is() -> None:
    error = BadInput("no database {}/{x}.db; `{}` makes one, `{}` too", Argument("search", "{}"), Argument("top", 3))
    assert str(error) == "no database {}/{x}.db; `search={}` makes one, `top=3` too"

from __future__ import annotations

import inspect

import pytest

from hpsearch import errors
from hpsearch.errors import BadInput, HpsearchError, Interrupted, nearest


def tree(root: type[HpsearchError], depth: int = 0) -> list[tuple[int, str]]:
    """The classes below one, each with how deep it stands."""
    below = [tree(kind, depth + 1) for kind in root.__subclasses__() if kind.__module__ == errors.__name__]
    return [(depth, root.__name__), *(line for lines in below for line in lines)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = []
    for line in inspect.getdoc(errors).split("::")[1].split("An error is data")[0].splitlines():  # type: ignore[union-attr]
        if line.strip():
            name = line.replace("|", " ").replace("--", "  ").replace("`", " ").split()[0]
            drawn.append((line.index(name) // 4 - 1, name))
    assert sorted(drawn) == sorted(tree(HpsearchError))


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
    ],
)
def test_nearest(name: str, known: list[str], says: str) -> None:
    assert nearest(name, known) == says

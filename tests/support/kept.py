"""What SQLAlchemy and Alembic work out anew for every database that is opened, kept for the whole process.

A command opens one database, and pays once. The tests open thousands, all with the same tables: much of the time of a
test with a database went into compiling the same statements again, and into loading the same migrations.
"""

from __future__ import annotations

from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

_make_engine = Engine.__init__
_find_head = ScriptDirectory.get_current_head


def keep() -> None:
    """Have all engines for databases of a kind share compiled statements, and find the newest migration once."""
    statements: Any = LRUCache(3000)
    heads: dict[str, str | None] = {}

    def make(self: Engine, *arguments: Any, **named: Any) -> None:
        _make_engine(self, *arguments, **named)
        self._compiled_cache = statements

    def head(self: ScriptDirectory) -> str | None:
        folder = str(self.dir)
        if folder not in heads:
            heads[folder] = _find_head(self)
        return heads[folder]

    # The dialect is part of what a statement is kept under.
    def same(self: DefaultDialect, other: object) -> bool:
        return type(self) is type(other) and _version(self) == _version(other)

    dialect: Any = DefaultDialect
    dialect.__eq__, dialect.__hash__ = same, lambda self: hash(type(self))
    engine: Any = Engine
    engine.__init__ = make
    script: Any = ScriptDirectory
    script.get_current_head = head


def _version(dialect: Any) -> object:
    return getattr(dialect, "server_version_info", None)

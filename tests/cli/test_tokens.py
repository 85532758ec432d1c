"""``hpsearch token``: who may use the service."""

from __future__ import annotations

import re
from pathlib import Path

from commands import Cli


def test_tokens_are_made_listed_and_revoked(cli: Cli) -> None:
    made = cli("token create ada --role run --storage a.db")
    assert re.fullmatch(r"hps_[\w-]{43}\n", made.out)
    assert made.err.startswith("note: it is not shown again (a-service.db has its hash); ")
    cli.ok("token create eve --storage a.db")
    rows = cli.json("token list --storage a.db")
    assert [(row["name"], row["role"]) for row in rows] == [("ada", "run"), ("eve", "read")]
    assert rows == cli.csv("token list --storage a.db")
    assert cli.ok("token revoke ada --storage a.db") == "revoked the token of ada\n"
    assert "ada" not in cli.ok("token list --storage a.db")


def test_names_that_are_taken_or_unknown_are_refused(cli: Cli) -> None:
    cli.ok("token create ada --storage a.db")
    cli.refused("token create ada --storage a.db", says="a token of ada; `hpsearch token revoke ada` first")
    for line in ("list", "revoke ada"):
        cli.refused(f"token {line}", says="no studies/hpsearch-service.db, which the first `hpsearch token create`")
    assert not Path("studies").exists()
    cli.refused("token revoke eve --storage a.db", says="no token of eve; `hpsearch token list`")
    cli.refused("token create eve --role owner --storage a.db", says="'owner' is not one of")

"""Laws of the source itself: imports, docstrings, libraries' private parts, and words that belong to one layer."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "hpsearch").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LATE_IMPORTS = 50  # the network 2, the user's kinds 3, and one each for the extras [sobol], [mlflow], [wandb]
ODD_OPENING = re.compile(r"(What|Whether|How|Where|Who|The door)\b")
OURS = {"hpsearch", *(path.stem for path in TESTS), *(path.parent.name for path in TESTS)}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
NETWORK_ROOMS = ("objectives", "nn", "data", "cli/data.py", "cli/models.py")
OTHER_SENSE = {
    "cli/report.py": "accuracy",  # a value of an option
    "reports/figures/saving.py": "image|network",  # files of figures
    "search/noise.py": "accuracy",  # a metric of scikit-learn
    "reports/page.py": "image",  # what the page may show
}


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def late_imports(path: Path) -> list[ast.stmt]:
    functions = [node for node in nodes(path) if isinstance(node, FUNCTION)]
    imports = [node for node in nodes(path) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [node for node in imports if any(one.lineno <= node.lineno <= (one.end_lineno or 0) for one in functions)]


@cache
def libraries(path: Path) -> set[str]:
    """Names in a module that stand for a library, one of its modules, or something from it."""
    names = set()
    for node in nodes(path):
        match node:
            case ast.Import():
                pairs = [(alias.name, alias.asname or alias.name.partition(".")[0]) for alias in node.names]
            case ast.ImportFrom(module=str(module), level=0):
                pairs = [(module, alias.asname or alias.name) for alias in node.names]
            case ast.Assign(
                [ast.Name(name)], ast.Call(ast.Attribute(attr="importorskip"), [ast.Constant(str(module))])
            ):
                pairs = [(module, name)]
            case _:
                continue
        names |= {name for module, name in pairs if module.partition(".")[0] not in OURS | sys.stdlib_module_names}
    return names


def root(node: ast.expr) -> str | None:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def texts(path: Path) -> Iterator[ast.Constant]:
    """String constants that are no docstrings (of modules, classes, functions, and of what stands above them)."""
    spoken = {id(node.value) for node in nodes(path) if isinstance(node, ast.Expr)}
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in spoken:
            yield node


def test_few_imports_stand_inside_functions_and_each_says_why() -> None:
    late, silent = [], []
    for path in PACKAGE:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in late_imports(path):
            late.append(place(path, node))
            above = lines[node.lineno - 2].strip()
            if "#" not in lines[node.lineno - 1] and not above.startswith("#"):
                silent.append(place(path, node))
    assert len(late) <= LATE_IMPORTS, late
    assert silent == []


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    odd = [
        place(path, node)
        for path in PACKAGE
        for node in nodes(path)
        if isinstance(node, documented) and ODD_OPENING.match(ast.get_docstring(node) or "")
    ]
    assert odd == []


def test_no_library_s_private_attribute_is_used() -> None:
    used = [
        f"{place(path, node)} {ast.unparse(node)}"
        for path in (*PACKAGE, *TESTS)
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr) and root(node.value) in libraries(path)
    ]
    assert used == []


def test_no_library_is_patched() -> None:
    """Neither by an assignment, nor by pytest's ``monkeypatch`` (by object or by name)."""
    patched = []
    for path in (*PACKAGE, *TESTS):
        names = libraries(path)
        for node in nodes(path):
            match node:
                case ast.Assign(targets=targets):
                    hit = any(isinstance(one, ast.Attribute) and root(one) in names for one in targets)
                case ast.Call(func=ast.Attribute(attr="setattr" | "delattr"), args=[first, *_]):
                    if isinstance(first, ast.Constant):
                        top = str(first.value).partition(".")[0]
                        hit = top not in OURS | sys.stdlib_module_names
                    else:
                        hit = root(first) in names
                case _:
                    continue
            if hit:
                patched.append(f"{place(path, node)} {ast.unparse(node)[:80]}")
    assert patched == []


def test_only_the_command_line_spells_commands_and_options() -> None:
    commands = "start|narrow|confirm|evaluate|status|trials|best|checklist|compare|report|plot|export|import|train|db"
    spelled = re.compile(rf"(^|[\s`'(])--[a-z]|\bhpsearch ({commands})\b")
    found = [
        f"{place(path, node)} {node.value!r:.60}"
        for path in PACKAGE
        if path.relative_to(ROOT / "hpsearch").parts[0] not in ("cli", "__main__.py", "wording.py")
        for node in texts(path)
        if spelled.search(str(node.value)) and "pg_dump" not in str(node.value)
    ]
    assert found == []


def test_only_the_network_s_rooms_know_the_network() -> None:
    words = re.compile(r"images?\b|\bnetworks?\b|accurac|momentum|weight_decay|batch_norm|learning.rate", re.I)
    found = []
    for path in PACKAGE:
        name = path.relative_to(ROOT / "hpsearch").as_posix()
        if name.startswith(NETWORK_ROOMS):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            # Names that databases and JSON of 0.2 have are marked so.
            if not line.endswith("# as in 0.2") and words.search(
                re.sub(OTHER_SENSE.get(name, "$^"), "", line, flags=re.I)
            ):
                found.append(f"hpsearch/{name}:{number} {line.strip()[:80]}")
    assert found == []

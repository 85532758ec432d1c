"""The README and the manual: what they show runs and prints that, links lead somewhere, nothing is left out.

Commands run in a folder whose ``mnist`` trains in milliseconds, so that their lines, not their numbers, are compared.
``python tests/test_docs.py [PAGE ...]`` runs them with the real one and writes what they print into the pages;
``python tests/test_docs.py tables`` only renews the tables of options and of exported columns.

A block of another kind with a file's name behind it, as in ``python train.py``, is written to that file.

A block of commands may carry a word behind ``console``:

* ``serves``: a server, which is asked for a page and then interrupted;
* ``exits=2``: the command ends with this exit code;
* ``needs=torch``: a test of its own, skipped where that package is not installed (the extra `[examples]`);
* one of `NOT_RUN`.

A line ``...`` in the shown output stands for any lines.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from rich.console import Console

from hpsearch import Search
from hpsearch.__main__ import main
from hpsearch.cli.docs import rendered, topics
from hpsearch.constraints import FUNCTIONS
from hpsearch.objectives.user.sections import Command, Estimator, Function
from hpsearch.reports import PlotKind
from hpsearch.service.credentials import opened
from hpsearch.service.roles import Role

ROOT = Path(__file__).resolve().parents[1]
MANUAL = ROOT / "hpsearch" / "docs"
PAGES = {"README": ROOT / "README.md", **{path.stem: path for path in sorted(MANUAL.glob("*.md"))}}
FROM_NOTHING = ("README", "tutorial", "howto-objectives", "howto-switch")
"""Pages that begin without a database; the others begin with what the tutorial leaves."""
SERVED = ("howto-service",)
"""Pages whose commands go to a server."""
NOT_RUN = {
    "ci": ".ci/run runs it word for word on a fresh machine",
    "cluster": "needs machines of their own: tests/executors and tests/store run their like against real servers",
    "deploy": "needs a machine of its own: tests/service/test_deploy.py looks at its parts",
    "network": "downloads; tests/data does so from a server of its own",
    "measures": "takes minutes to measure; tests/test_benchmarks.py runs the parts",
    "terminal": "fills a terminal until it is interrupted; tests/cli looks at its frames",
}
_FENCE = re.compile(
    r"^(?:<!-- (?P<marker>[\w-]+) -->\n)?```(?P<kind>console|toml|python|sh|yaml)(?P<note>[^\n]*)\n", re.M
)
TUTORIAL = ("start --trials 100", "narrow --top 5 --expand", "start", "confirm", "evaluate --save best.npz")
"""The commands of the tutorial that write."""
GAP = re.compile(r"^\.\.\.\n", re.M)  # stands in a block for lines that are not shown
_QUICK = (
    ("epochs = 50", "epochs = 5"),
    ("[100, 100, 100, 100, 100, 100]", "[20]"),
    ("1e-6, high = 1e-2", "1e-5, high = 1e-1"),
)
"""What makes `mnist` quick, with results like the real one's: learning rates at the end of their range, ties."""


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    marker: str | None
    kind: str
    note: str
    body: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command with the output that is shown."""
        parts = re.split(r"^\$ ", self.body, flags=re.M)[1:]
        return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]

    @property
    def file(self) -> str | None:
        """The file that the block is."""
        return self.note if self.kind != "console" and self.note else None

    @property
    def needs(self) -> str | None:
        """The package that the block needs."""
        return self.note.removeprefix("needs=") if self.note.startswith("needs=") else None


def read(page: str) -> str:
    """Return a page's text."""
    return PAGES[page].read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Return a page's blocks of commands, TOML and Python, in order."""
    text, made = read(page), []
    for fence in _FENCE.finditer(text):
        note = "ci" if fence["marker"] in ("tests", "notebooks") else fence["note"].strip()
        made.append(Block(fence["marker"], fence["kind"], note, text[fence.end() : text.index("```", fence.end())]))
    return made


class Shell:
    """Runs a page's commands in the folder ``work``, with study files, and ``hpsearch`` on the path.

    ``hpsearch`` with arguments, and Python, run in this process: loading them takes a second each.
    """

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder / "work"
        if not self.folder.exists():
            (self.folder / "studies").mkdir(parents=True)
            for study in (ROOT / "studies").glob("*.toml"):
                text = study.read_text(encoding="utf-8")
                for slow, fast in _QUICK if quick else ():
                    text = text.replace(slow, fast)
                (self.folder / "studies" / study.name).write_text(text, encoding="utf-8")
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        for name, arguments in (("hpsearch", "-m hpsearch"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, command: str, *, code: int = 0) -> str:
        """Run a command that ends with an exit code, and return what it prints, with errors where it fails."""
        # The set-up before the quick start's command is .ci/run's to test.
        command = command.rpartition(" && ")[2].replace(".venv/bin/", "")
        if re.fullmatch(r"hpsearch [^|&<>;]+", command):
            with chdir(self.folder), redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
                ended = main(shlex.split(command)[1:])
            out, err = stdout.getvalue(), stderr.getvalue()
        else:
            ran = subprocess.run(
                command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
            )
            ended, out, err = ran.returncode, ran.stdout, ran.stderr
        assert ended == code, f"{command}\n{out}{err}"
        return out + (err if code else "")

    def script(self, text: str) -> None:
        """Run a program of Python."""
        with chdir(self.folder), redirect_stdout(StringIO()):
            exec(compile(text, "page.py", "exec"), {"__name__": "__main__"})

    def serve(self, command: str) -> str:
        """Return the first line of a command that serves, after asking its address for a page."""
        command = f"exec {command} --port 0"
        server = subprocess.Popen(
            command, shell=True, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        with server:
            assert server.stdout is not None
            try:
                line = server.stdout.readline()
                address = re.search(r"http://127\.0\.0\.1:\d+/", line)
                assert address is not None, line
                path, content = ("readyz", b"ready") if " serve" in command else ("api/studies", b"mnist/stage-02")
                with urllib.request.urlopen(f"{address[0]}{path}", timeout=60) as answer:
                    assert content in answer.read()
            finally:
                server.send_signal(signal.SIGINT)
        return line

    def check(self, body: str) -> None:
        """Check a study file, or some sections of one, with ``hpsearch check``."""
        sections = tomllib.loads(body)
        head = "" if "name" in sections else 'name = "page"\n'
        tail = "" if "space" in sections else "\n[space]\nlr = { low = 1e-4, high = 1.0, log = true }\n"
        (self.folder / "page.toml").write_text(head + body + tail, encoding="utf-8")
        self.run("hpsearch check page.toml --trials 2 --jobs 1")

    def show(self, command: str, block: Block) -> str:
        """Run one command of a block and return what it prints."""
        if block.note == "serves":
            return self.serve(command)
        code = re.fullmatch(r"exits=(\d+)|needs=\w+|", block.note)
        assert code, f"```console {block.note} is no mark"
        return self.run(command, code=int(code[1] or 0))


def words(output: str) -> list[str]:
    """Return the first word of each line, numbers as ``#``; of lines that follow one another with the same word, one.

    How many notes a parameter has, say, depends on the trials. Of a plot in characters its frame counts.
    """
    lines = [re.sub(r"[-+]?\d[\d.e+-]*%?|-{3,}|\|\S*", "#", line).split() for line in output.strip().splitlines()]
    return [word for word, _ in groupby(line[0] if line else "" for line in lines)]


def agree(printed: str, shown: str) -> bool:
    """Return whether what was printed has the lines that are shown; ``...`` stands for any."""
    parts = GAP.split(shown, maxsplit=1)
    if len(parts) == 1:
        return words(printed) == words(shown)
    there, first, last = map(words, (printed, *parts))
    return there[: len(first)] == first and there[len(there) - len(last) :] == last


def played(shell: Shell, page: str, *needs: str | None) -> Iterator[tuple[str, str, str]]:
    """Run what a page shows, of the blocks that need a package those whose package is one of ``needs``.

    Yields each command, the output that is shown, and what it has printed.
    """
    with asking_a_server(shell.folder) if page in SERVED else nullcontext():
        for block in blocks(page):
            if block.file is None and (block.note in NOT_RUN or block.needs not in needs):
                continue
            if block.file is not None:
                (shell.folder / block.file).write_text(block.body, encoding="utf-8")
            elif block.kind == "toml":
                shell.check(block.body)
            elif block.kind == "python":
                shell.script(block.body)
            for command, shown in block.commands if block.kind == "console" else ():
                yield command, shown, shell.show(command, block)


@contextmanager
def asking_a_server(folder: Path) -> Iterator[None]:
    """Let commands and clients ask a server over the database of a folder."""
    import served  # pytest puts it on the path

    with served.server(folder) as server, pytest.MonkeyPatch.context() as patch:
        with opened(str(folder / "studies" / "hpsearch.db")) as credentials:
            patch.setenv("HPSEARCH_TOKEN", credentials.create("docs", Role.ADMIN))
        patch.setenv("HPSEARCH_SERVER", server.url)
        yield


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tutorial's search has run: two stages, a confirmation, an evaluation, a saved network."""
    shell = Shell(tmp_path_factory.mktemp("searched"), quick=True)
    for command in TUTORIAL:
        shell.run(f"hpsearch {command}")
    return shell.folder


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs_and_prints_that(
    page: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if all(block.note in NOT_RUN for block in blocks(page)):
        return
    if page not in FROM_NOTHING:
        shutil.copytree(request.getfixturevalue("searched"), tmp_path / "work")
    shell = Shell(tmp_path, quick=True)
    for name in os.environ.keys() - shell.environment.keys():
        monkeypatch.delenv(name)
    for command, shown, printed in played(shell, page, None):
        assert agree(printed, shown), f"{page}: {command}\n{printed}"


@pytest.mark.parametrize(
    ("page", "package"), [(page, block.needs) for page in PAGES for block in blocks(page) if block.needs]
)
def test_an_example_with_another_library_runs(page: str, package: str, tmp_path: Path) -> None:
    if find_spec(package) is None:
        pytest.skip(f"needs {package} (extra [examples])")  # which .ci/run installs
    for command, shown, printed in played(Shell(tmp_path, quick=True), page, package):
        assert agree(printed, shown), f"{page}: {command}\n{printed}"


def test_an_objective_takes_ten_lines() -> None:
    lines = {
        block.file: len(re.findall(r"^.*\S", block.body, re.M)) for block in blocks("howto-objectives") if block.file
    }
    assert {"train.py", "net.py", "trees.py", "descent.sh", "steps.py"} <= lines.keys()
    assert {file: count for file, count in lines.items() if count > 10 and not file.endswith(".toml")} == {}


def test_the_tutorial_leaves_what_the_other_pages_begin_with() -> None:
    shown = [command for block in blocks("tutorial") for command, _ in block.commands if block.kind == "console"]
    assert [command for command in shown if command.removeprefix("hpsearch ") in TUTORIAL] == [
        f"hpsearch {command}" for command in TUTORIAL
    ]


def test_the_set_up_commands_are_one_line_each() -> None:
    marked = {block.marker: block for block in blocks("README") if block.marker}
    assert marked.keys() == {"main-job", "tests", "notebooks"}
    for block in marked.values():
        assert len(block.commands) == 1
        assert block.commands[0][0].startswith("python3 -m venv ")
    assert marked["main-job"].commands[0][0].endswith("hpsearch start --trials 100")
    assert marked["tests"].commands[0][0].endswith("python -m pytest -n 3 --dist worksteal")


def test_the_readme_is_short() -> None:
    assert len(read("README").split()) <= 1500


def walk() -> Iterator[tuple[str, Any]]:
    """Yield every command of the command line that does something, with its full name."""
    from click import Context, Group

    from hpsearch.cli.app import app

    def below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
        if not isinstance(command, Group):
            yield path, command
            return
        context = Context(command)
        for name in command.list_commands(context):
            yield from below(f"{path} {name}", command.get_command(context, name))

    yield from below("hpsearch", app)


def sections_of(page: str) -> dict[str, str]:
    """Return a page's sections by their headings."""
    parts = re.split(r"^## (.+)$", read(page), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def sections() -> dict[str, str]:
    """Return the manual's sections about a command, by the command's name."""
    every = [section for page in PAGES.keys() - {"README"} for section in sections_of(page).items()]
    return {name: body for name, body in every if name.startswith("hpsearch ")}


def test_every_command_and_every_option_is_in_the_manual() -> None:
    described = sections()
    for name, command in walk():
        assert name in described, name
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help" and not getattr(parameter, "hidden", False):
                    assert f"`{option}" in described[name], f"{name} {option}"
    assert described.keys() == {name for name, _ in walk()}


def test_every_page_is_listed_in_the_index_and_shipped() -> None:
    assert sorted(topics()) == sorted(PAGES.keys() - {"README"})
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["hpsearch"]
    assert "exclude" not in wheel


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for extra in project["project"]["optional-dependencies"]:
        assert f"`[{extra}]`" in read("commands"), extra


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "path", [*PAGES.values(), *sorted((ROOT / "studies").glob("*.md"))], ids=lambda path: path.stem
)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        assert path.parent != MANUAL or "/" not in file, target  # the wheel has no folder above hpsearch/
        page = path.parent / file if file else path
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), target


def test_every_exported_column_is_explained() -> None:
    assert read("howto-export").endswith(columns_table())


def test_every_key_of_a_study_file_is_explained() -> None:
    from hpsearch.study_file import find

    [whole, *_] = [block for block in blocks("study-files") if block.kind == "toml"]
    for name, section in find(None).to_dict().items():
        if isinstance(section, dict) and name != "space":
            for key in section:
                assert re.search(rf"^(# )?{key} = ", whole.body, re.M), f"[{name}] {key}"
                assert name != "data" or re.search(rf"^\| .*`{key}`.* \|", read("howto-data"), re.M), key


def test_every_key_of_an_objective_of_one_s_own_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", sections_of("study-files")["Your own objective"], re.M)
    known = {key for kind in (Command, Estimator, Function) for key in kind.model_fields}
    assert sorted(rows) == sorted(known)


def test_every_function_of_a_constraint_is_explained() -> None:
    for name in FUNCTIONS:
        assert f"`{name}`" in read("study-files"), name


def test_the_playbook_s_commands_figures_and_tests_exist() -> None:
    options = {name: {option for of in command.params for option in of.opts} for name, command in walk()}
    cells = re.findall(r"^\| (.+) \|(.*)\|(.*)\|(.*)\|$", read("playbook"), re.M)
    rows = [row for row in cells if row[0] not in ("question", "---")]
    assert len(rows) >= 25
    for question, command, figure, tests in rows:
        for line in re.findall(r"`(hpsearch [^`]*)`", command):
            known = next(options[name] for name in sorted(options, reverse=True) if f"{line} ".startswith(f"{name} "))
            assert set(re.findall(r"--[a-z-]+", line)) <= known, question
        for name, kind in re.findall(r"`(\w+) ([a-z-]+)", figure):
            assert kind in (list(PlotKind) if name == "plot" else options[f"hpsearch {name}"]), question
        for path in re.findall(r"`([^`]+)`", tests):
            assert (ROOT / path).is_file(), path


def test_every_method_of_a_search_is_explained() -> None:
    for name in vars(Search):
        assert name.startswith("_") or f"`{name}`" in read("python"), name


def test_the_architecture_s_places_and_names_exist() -> None:
    text = read("architecture")
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "hpsearch").rglob("*.py"))
    for name in re.findall(r"`([\w./-]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        if "/" in name or name.endswith(".py"):
            assert any((folder / name).exists() for folder in (ROOT, ROOT / "hpsearch")), name
        else:
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", source), name


def test_the_map_has_every_room() -> None:
    text = read("architecture")
    rooms = text[text.index("```\nhpsearch/") : text.index("## The seams")]
    names = {*re.findall(r"^  (\w+/)", rooms, re.M), *re.findall(r"\w+\.py", rooms), "py.typed"}
    there = {
        path.name + "/" * path.is_dir() for path in (ROOT / "hpsearch").iterdir() if not path.name.startswith("__")
    }
    assert there <= names


def test_each_correction_of_the_chapter_is_in_the_code_and_has_its_test() -> None:
    text = read("network")
    table = text[text.index("## The chapter's corrections") :]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 8
    for _, _, where, shown in rows:
        for cell in (where, shown):  # a file or a folder, and what stands there
            place, code = re.findall(r"`([^`]+)`", cell)
            files = [ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py")
            assert any(code in path.read_text(encoding="utf-8") for path in files), cell


@pytest.mark.parametrize("path", [*PAGES.values(), ROOT / "studies" / "README.md"], ids=lambda path: path.stem)
def test_words_are_the_field_s(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    assert not re.findall("hopeless|stopped early|own scale|told from|luck|look at the test|nobody|whoever", text)


def docs(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run ``hpsearch docs``: its exit code, standard output and standard error."""
    code = main(["docs", *arguments])
    return code, *capsys.readouterr()


def test_docs_lists_every_topic_with_a_line_about_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = docs(capsys)
    assert code == 0
    assert {line.split()[0] for line in out.splitlines() if "  " in line} == {"topic", *(PAGES.keys() - {"README"})}


def test_docs_prints_a_page_or_the_sections_about_a_command_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs(capsys, "tutorial") == (0, read("tutorial"), "")
    run, database = read("commands-run"), read("commands-database")
    assert docs(capsys, "narrow") == (0, run[run.index("## hpsearch narrow") : run.index("## hpsearch refine")], "")
    assert docs(capsys, "db") == (0, database[database.index("## hpsearch db check") :], "")


def test_docs_names_the_nearest_topic_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = docs(capsys, "tutorail")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "'tutorial'" in err


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"README"}))
@pytest.mark.parametrize("width", [80, 120])
def test_a_page_fits_a_terminal(page: str, width: int) -> None:
    screen = Console(width=width, force_terminal=True, color_system=None)
    with screen.capture() as capture:
        screen.print(rendered(read(page)))
    shown = capture.get()
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    assert not re.search(r"\]\([\w-]+\.md|<!--|^#|```", shown, re.M)


def test_docs_shows_a_page_through_the_pager_of_a_terminal() -> None:
    command = [sys.executable, "-m", "hpsearch", "docs", "faq"]
    ours, theirs = os.openpty()
    try:
        terminal = {"PAGER": "sed s/^/paged:/", "TERM": "xterm", "COLUMNS": "80"}
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **terminal}
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment) as run:
            os.close(theirs)
            shown = b""
            with suppress(OSError):  # Linux's word for the end
                while piece := os.read(ours, 65536):
                    shown += piece
        assert run.returncode == 0
    finally:
        os.close(ours)
    lines = shown.decode().splitlines()
    assert len(lines) > 50
    assert all(line.startswith("paged:") for line in lines)


def update(pages: list[str]) -> None:
    """Write into pages what their commands print, with the real study files."""
    with TemporaryDirectory() as place:
        # The tutorial comes first: it makes what the others begin with.
        for page in sorted({"tutorial", *pages}, key=lambda page: page != "tutorial"):
            folder = Path(place) / page
            folder.mkdir()
            if page not in FROM_NOTHING:
                shutil.copytree(Path(place) / "tutorial" / "work", folder / "work")
            try:
                text = renewed(page, Shell(folder, quick=False))
            except AssertionError as error:
                print(f"{page} stays as it is: {error}")
            else:
                PAGES[page].write_text(text, encoding="utf-8")


def renewed(page: str, shell: Shell) -> str:
    """Return a page with what its commands print now."""
    text = read(page)
    installed = [block.needs for block in blocks(page) if block.needs is None or find_spec(block.needs)]
    for command, shown, printed in played(shell, page, *installed):
        new = abridged(re.sub(r"1:\d+/", "1:8080/", printed), shown)
        text = text.replace(f"$ {command}\n{shown}", f"$ {command}\n{new}", 1)
    return text


def abridged(printed: str, shown: str) -> str:
    """Return what was printed with as many lines left out as in what was shown.

    How long a run took stays as it is shown: those are times of a quiet machine.
    """
    took = re.compile(r"(?<= in )\d+\.\d s\b|(?<=about )[\d.]+ s\b")
    times = iter(took.findall(shown))
    printed = took.sub(lambda now: next(times, now[0]), printed)
    begin, *end = GAP.split(shown, maxsplit=1)
    if not end:
        return printed
    lines = printed.splitlines(keepends=True)
    last = len(lines) - len(end[0].splitlines())
    return "".join([*lines[: len(begin.splitlines())], "...\n", *lines[last:]])


def update_tables() -> None:
    """Write the tables of options and of exported columns anew."""
    path = PAGES["howto-export"]
    text = path.read_text(encoding="utf-8")
    head = text[: text.index("| table | column |")]
    path.write_text(head + columns_table(), encoding="utf-8")
    COMMON.update(common_options())
    for path in MANUAL.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        for name, command in walk():
            head, heading, body = text.partition(f"## {name}\n")
            if heading:
                before, _, after = re.split(r"((?:^\| .*\n)+)", body, maxsplit=1, flags=re.M)
                text = head + heading + before + options_table(command) + after
        path.write_text(text, encoding="utf-8")


def columns_table() -> str:
    """Return the table of exported columns."""
    from hpsearch.exchange.layout import all_columns

    rows = ["| {table} | `{column}` | {holds} | {meaning} |\n".format(**row) for row in all_columns()]
    return "".join(["| table | column | holds | meaning |\n", "| --- | --- | --- | --- |\n", *rows])


COMMON: dict[str, str] = {}
"""Options that mean the same in many commands, with their help; `commands.md` describes them."""


def common_options() -> dict[str, str]:
    """Return the help that most commands have for the options that `commands.md` describes."""
    texts = [
        (option, " ".join((parameter.help or "").split()))
        for _, command in walk()
        for parameter in command.params
        for option in parameter.opts
        if option in ("--storage", "--format", "--data-dir")
    ]
    return dict(sorted(texts, key=texts.count))


def options_table(command: Any) -> str:
    """Return a command's arguments and options as a Markdown table, with what is the same everywhere in one row."""
    rows, common = "| argument or option | meaning |\n| --- | --- |\n", []
    for parameter in command.params:
        help_ = " ".join((parameter.help or "").split()).replace("|", "\\|")
        if "--help" in parameter.opts or getattr(parameter, "hidden", False):
            continue
        names = sorted([*parameter.opts, *parameter.secondary_opts], key=len, reverse=True)
        if COMMON.get(names[0]) == help_:
            common += names
            continue
        if not names[0].startswith("-"):
            names = [parameter.metavar or parameter.name.upper()]
        if type(parameter.default) in (int, float, str) and parameter.default != "" and "[default" not in help_:
            help_ += f" [default: {parameter.default}]"
        rows += f"| {', '.join(f'`{name}`' for name in names)} | {help_} |\n"
    if common:
        rows += f"| {', '.join(f'`{name}`' for name in common)} | see [commands](commands.md) |\n"
    return rows


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    if sys.argv[1:] == ["tables"]:
        update_tables()
    else:
        update(sys.argv[1:] or list(PAGES))

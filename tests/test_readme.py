"""The README's commands run, and print what the README shows.

Numbers may differ from one processor to the next (another BLAS rounds otherwise), so lines are compared by their
words. ``python tests/test_readme.py`` writes fresh output into the README.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hpsearch.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
_FENCE = re.compile(r"^(?:<!-- (?P<marker>[\w-]+) -->\n)?```(?P<kind>console|toml|python)(?P<note>[^\n]*)\n", re.M)


@dataclass
class Block:
    """A fenced block: what marks it, where its body lies in the text, and its lines."""

    marker: str | None
    kind: str
    note: str
    start: int
    end: int
    body: str
    commands: list[tuple[str, str]] = field(default_factory=list)


def blocks(text: str) -> list[Block]:
    """The README's blocks of commands, TOML and Python, in order."""
    found = []
    for fence in _FENCE.finditer(text):
        end = text.index("```", fence.end())
        block = Block(fence["marker"], fence["kind"], fence["note"].strip(), fence.end(), end, text[fence.end() : end])
        if block.kind == "console":
            for part in re.split(r"^\$ ", block.body, flags=re.M)[1:]:
                command, _, output = part.partition("\n")
                block.commands.append((command, output))
        found.append(block)
    return found


class Shell:
    """A folder with the repository's study files, and ``hpsearch`` on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        (self.folder / "studies").mkdir(parents=True)
        for study in (ROOT / "studies").glob("*.toml"):
            (self.folder / "studies" / study.name).write_text(study.read_text())
        programs = folder / "bin"
        programs.mkdir()
        for name, arguments in (("hpsearch", "-m hpsearch"), ("python", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            (programs / name).chmod(0o755)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")},
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, command: str) -> str:
        """Standard output of a command that succeeds."""
        ran = subprocess.run(
            command, shell=True, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def script(self, text: str) -> None:
        """Runs a program of Python."""
        (self.folder / "readme.py").write_text(text)
        self.run("python readme.py")

    def serve(self, command: str) -> str:
        """The first line of a command that serves, after asking its address for a page."""
        server = subprocess.Popen(
            f"exec {command} --port 0",
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", line)
            assert address is not None, line
            with urllib.request.urlopen(f"{address[0]}api/studies", timeout=60) as answer:
                assert b"mnist/stage-02" in answer.read()
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
            if server.stdout is not None:
                server.stdout.close()
        return line


class ShortShell(Shell):
    """One that starts no process for what is nothing but ``hpsearch`` with arguments, or Python.

    Such a process loads the libraries for a second and more, and there are fifty. What has a pipe or a redirection in
    it is a shell's, and goes the whole way.
    """

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self._capfd = capfd
        monkeypatch.chdir(self.folder)
        for name in os.environ.keys() - self.environment.keys():
            monkeypatch.delenv(name)

    def run(self, command: str) -> str:
        program, *arguments = shlex.split(command)
        if program != "hpsearch" or re.search(r"[|&<>;]", command):
            return super().run(command)
        self._capfd.readouterr()
        code = main(arguments)
        printed = self._capfd.readouterr()
        assert code == 0, f"{command}\n{printed.out}{printed.err}"
        return printed.out

    def script(self, text: str) -> None:
        exec(compile(text, "readme.py", "exec"), {"__name__": "__main__"})


def runnable(command: str) -> str:
    """A command as the test runs it: without making a virtual environment, which .ci/run does word for word."""
    return command.rpartition(" && ")[2].replace(".venv/bin/", "")


def words(output: str) -> list[str]:
    """What must agree: the first word of each line."""
    lines = [re.sub(r"[-+]?\d[\d.e+-]*%?", "#", line).split() for line in output.strip().splitlines()]
    return [line[0] if line else "" for line in lines]


@pytest.mark.slow
def test_every_command_runs_and_prints_what_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = ShortShell(tmp_path, capfd, monkeypatch)
    for block in blocks(README.read_text(encoding="utf-8")):
        for command, shown in block.commands:
            if block.marker in ("tests", "notebooks"):
                continue  # this very run, and what .ci/run does
            printed = shell.serve(command) if block.note == "serves" else shell.run(runnable(command))
            assert words(printed) == words(shown), f"{command}\n{printed}"
        if block.kind == "toml":
            (shell.folder / "readme.toml").write_text(block.body)
            shell.run("hpsearch check readme.toml --trials 2 --jobs 1")
        if block.kind == "python":
            shell.script(block.body)


def test_the_two_commands_are_one_line_each() -> None:
    marked = {block.marker: block for block in blocks(README.read_text(encoding="utf-8")) if block.marker}
    assert marked.keys() == {"main-job", "tests", "notebooks"}
    for block in marked.values():
        assert len(block.commands) == 1
        assert block.commands[0][0].startswith("python3 -m venv ")
    assert marked["main-job"].commands[0][0].endswith("hpsearch start --trials 100")
    assert marked["tests"].commands[0][0].endswith("python -m pytest -n 2 --dist worksteal")


def test_every_command_has_a_section() -> None:
    from hpsearch.cli.app import COMMANDS

    text = README.read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"`hpsearch {command}" in text


def test_every_exported_column_is_explained() -> None:
    from hpsearch.exchange.columns import all_columns

    text = README.read_text(encoding="utf-8")
    for row in all_columns():
        assert "| {table} | `{column}` | {holds} | {meaning} |".format(**row) in text


def test_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_each_correction_of_the_chapter_is_in_the_code_and_has_its_test() -> None:
    text = README.read_text(encoding="utf-8")
    table = text[text.index("## The chapter's corrections") : text.index("## Commands")]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 8
    for _, _, where, shown in rows:
        for cell in (where, shown):
            path, code = re.findall(r"`([^`]+)`", cell)
            assert code in (ROOT / path).read_text(encoding="utf-8"), cell


def _update() -> None:
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        pieces, at = [], 0
        for block in blocks(text):
            if block.kind == "python":  # it may make what later commands read
                shell.script(block.body)
            if block.kind != "console" or block.marker in ("tests", "notebooks"):
                continue
            body = ""
            for command, _ in block.commands:
                line = shell.serve(command) if block.note == "serves" else shell.run(runnable(command))
                body += f"$ {command}\n{re.sub(r':[0-9]+/', ':8080/', line) if block.note else line}"
            pieces += [text[at : block.start], body]
            at = block.end
    README.write_text("".join(pieces) + text[at:], encoding="utf-8")


if __name__ == "__main__":
    _update()

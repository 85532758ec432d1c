"""A command as the objective: workers start it once a trial and read its score from what it prints."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.functions import NotFound, find_file
from hpsearch.objectives.user.child import KEPT_BYTES, Child, InChildProcess, Slot, Tail, ended_words, environment
from hpsearch.objectives.user.placeholders import fill, fill_all, names, text_of, variable
from hpsearch.objectives.user.trial import BadResult, Task, Trial, not_ours, read_result
from hpsearch.records import ENDED, OUTPUT, SECONDS, Completed, Failed, Outcome, Paused, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_POLL_S = 0.05  # how often a command that prints nothing is looked at
_LONGEST = 1 << 20  # bytes of a line that may hold a score; longer ones are left out
_OUT_OF_MEMORY = re.compile(r"\b(MemoryError|OutOfMemoryError|bad_alloc)\b")  # no exit code says it; for `retries`
_TOO_FEW = (errno.EAGAIN, errno.ENOMEM)  # processes, memory: another attempt may succeed
_EXAMPLE = '{"score": 0.91}'
_CONTINUES = re.compile(r"\.?\d|[eE][-+]?\d")  # what makes another number of the one before it
_NUMBERS = ("score", "folds", "std_error")  # keys of a line that must be numbers


class Lines:
    """The lines of an output as it comes, and its end; a carriage return ends a line too, as progress bars write it."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.tail = Tail()
        self._rest = b""
        self._too_long = False

    def add(self, some: bytes) -> None:
        """Add what has come."""
        self.tail.add(some)
        first, *others = some.replace(b"\r", b"\n").split(b"\n")
        self._rest += first
        for line in others:
            self.end()
            self._rest = line
        if len(self._rest) > _LONGEST:
            self._rest, self._too_long = b"", True

    def end(self) -> None:
        """End the last line."""
        if self._rest and not self._too_long:
            self._take(self._rest)
        self._rest, self._too_long = b"", False


class Scores:
    """The scores in the lines of an output.

    Args:
        pattern: A regular expression, whose group is a score; None: lines of JSON have them.
        report: Is given the points of the learning curve; None: lines that match the pattern are none.
    """

    def __init__(self, pattern: str | None, report: Callable[[float, int], None] | None) -> None:
        self.last: Mapping[str, Any] | None = None  # of the last line that has a score
        self._pattern = None if pattern is None else re.compile(pattern)
        self._report = report
        self._matches = 0

    def add(self, line: bytes) -> None:
        """Read a line."""
        if self._pattern is None:
            self._add_json(line.strip())
            return
        for match in self._pattern.finditer(line.decode(errors="replace")):
            self._matches += 1
            rest = match[1] and _CONTINUES.match(match.string, match.end(1))
            self.last = {"part": match[1] + match.string[match.end(1) :]} if rest else {"score": _number(match[1])}
            score = self.last.get("score")
            if self._report is not None and isinstance(score, float):
                self._report(score, self._matches)

    def _add_json(self, line: bytes) -> None:
        if not (line.startswith(b"{") and line.endswith(b"}") and b'"score"' in line):
            return
        try:
            values = json.loads(line)
            score, step = values["score"], values.pop("step", None)
        except (ValueError, KeyError, RecursionError):  # it only looks like one
            return
        self.last = values
        if self._report is not None and all(isinstance(x, int | float) for x in (score, step)):
            with contextlib.suppress(ValueError, OverflowError):  # infinite or NaN as a step, and numbers beyond floats
                self._report(score, int(step))


def _number(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


@dataclass(eq=False, kw_only=True)
class CommandObjective(InChildProcess):
    """Runs a command for each trial, in a process group of its own.

    At a rung the command is ended.

    Raises:
        NotFound: The command cannot be started.
    """

    command: Sequence[str]  # the program and its arguments, with ``{name}`` for values
    pattern: str | None = None  # whose group is the score; None: the last line of JSON has it
    curve: bool = False  # whether each match of the pattern is a point of the learning curve
    workdir: str | None = None  # the command's working folder, with ``{name}`` for values; None: that of this process

    def _run_all(self, tasks: list[Task], slot: Slot) -> Iterator[Sequence[Report | Outcome | Paused]]:
        with contextlib.ExitStack() as stack:
            scratch = None  # making one takes longer than starting a process
            if self._has_file or (self.workdir is not None and not self.study.study_name):
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hpsearch-")))
            for task in tasks:
                yield from self._run(task, slot, scratch)

    @property
    def _has_file(self) -> bool:
        return any("params_file" in names(argument) for argument in self.command)

    def _run(self, task: Task, slot: Slot, scratch: Path | None) -> Iterator[Sequence[Report | Outcome | Paused]]:
        points: list[Report] = []
        began, late = time.monotonic(), False
        trial = Trial(task, self.study, points.append)
        scores = Scores(self.pattern, trial.report if self.pattern is None or self.curve else None)
        logged = Scores(self.pattern, None)
        stdout, stderr = Lines(scores.add), Lines(logged.add)
        try:
            child = self._start(trial, task, slot, scratch, stdout, stderr)
        except (OSError, ValueError) as error:  # too many processes, a full disk, a value that is too long or has a NUL
            ended = "memory" if getattr(error, "errno", None) in _TOO_FEW else "exit"
            reason = f"the command cannot be started: {str(error)[:400]}"
            yield [Failed(trial.number, reason, (), {SECONDS: task.spent, ENDED: ended})]
            return
        try:
            while (code := child.code) is None and not trial.should_prune() and not late:
                child.wait(_POLL_S)
                yield points[:]
                points.clear()
                late = self.seconds is not None and time.monotonic() - began > self.seconds
        finally:
            child.end()
        stdout.end()
        stderr.end()
        spent = {SECONDS: round(task.spent + time.monotonic() - began, 6)}
        if trial.should_prune():
            yield [*points, Paused(task.trial.number, trial.curve, spent)]
            return
        ended, reason = self._how(code, stderr.tail)
        try:
            if ended == "result":
                # A program may log to its standard error what a pattern is to find.
                score, facts = self._read(scores.last or (logged.last if self.pattern else None))
                yield [*points, Completed(task.trial.number, score, trial.curve, {**facts, **spent})]
                return
        except BadResult as error:
            reason = str(error)
        output, errors = str(stdout.tail), str(stderr.tail)
        errors = errors[-max(KEPT_BYTES // 2, KEPT_BYTES - len(output)) :]
        both = output[-(KEPT_BYTES - len(errors)) :] + errors
        attributes = {**spent, **slot.facts, OUTPUT: both, ENDED: ended}
        yield [*points, Failed(task.trial.number, reason, trial.curve, attributes)]

    def _start(
        self,
        trial: Trial,
        task: Task,
        slot: Slot,
        scratch: Path | None,
        stdout: Lines,
        stderr: Lines,
    ) -> Child:
        folder = os.path.abspath(self.folder)
        facts = {"seed": trial.seed, "trial": trial.number, "search": self.study.study_name, "folder": folder}
        if scratch is not None and self._has_file:
            file = scratch / f"{trial.number}-{task.trial.again}.json"
            file.write_text(json.dumps(trial.params))
            facts["params_file"] = str(file)
        values = {**trial.params, **facts}
        variables = {f"HPSEARCH_{name.upper()}": text_of(value) for name, value in facts.items()}
        variables |= {variable(name): text_of(value) for name, value in trial.params.items()}
        program = find_program(self.command[0], self.folder)
        try:
            return Child(
                [program, *fill_all(self._arguments(), values)],
                guard=slot.guard,
                # Python keeps what it prints until it has some kB of it, unless it is told otherwise.
                environment={"PYTHONUNBUFFERED": "1", **environment(slot.device), **variables},
                folder=self._working_folder(values, task, scratch),
                on_output=stdout.add,
                on_errors=stderr.add,
            )
        except OSError as error:
            if error.errno == errno.ENOEXEC:  # whatever the trial
                raise NotFound(f"{program} cannot be started: {error.strerror}") from error
            raise

    def _arguments(self) -> list[str]:
        """Return the arguments; the first that is no option may name a script, of which another folder needs the path.

        No other one is a file for sure: the command may be about to write it.
        """
        arguments = list(self.command[1:])
        at = next((at for at, argument in enumerate(arguments) if not argument.startswith("-")), None)
        if at is not None:
            with contextlib.suppress(NotFound, OSError):  # a text that is too long for a path
                arguments[at] = str(find_file(arguments[at], (self.folder, os.getcwd())).absolute())
        return arguments

    def _working_folder(self, values: Mapping[str, Any], task: Task, scratch: Path | None) -> str | None:
        if self.workdir is None:
            return None
        again = f"-{task.trial.again}" if task.trial.again else ""  # a repeat finds nothing of the one before
        # A trial that belongs to no stage only measures how long one takes, and leaves nothing.
        folder = Path(f"{fill(self.workdir, values)}{again}")
        if scratch is not None and not self.study.study_name:
            folder = scratch / "workdir"
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def _how(self, code: int | None, stderr: Tail) -> tuple[str, str]:
        """Return how the command ended, as `hpsearch.records.ENDED` has it and in words."""
        if code is None:
            return "timeout", f"no result within {self.seconds:g} s"
        if code == 0:
            return "result", ""
        last = next((line.strip() for line in reversed(str(stderr).splitlines()) if line.strip()), "")
        code = _signal_of(code)
        words = f"{ended_words(code)}: {last[:300]}" if last else ended_words(code)
        return "signal" if code < 0 else "memory" if _OUT_OF_MEMORY.search(last) else "exit", words

    def _read(self, last: Mapping[str, Any] | None) -> tuple[float, dict[str, Any]]:
        """Return the score of the last line that has one, and the other facts there.

        Raises:
            BadResult: It is no finite number, or there is no such line.
        """
        if last is None and self.pattern is None:
            json_line = f"let the last line of its standard output be JSON such as {_EXAMPLE}"
            raise BadResult(f"it printed no score; {json_line}, or give score_pattern")
        if last is None:
            raise BadResult(f"nothing that it printed matches score_pattern = {self.pattern!r}")
        if self.pattern is not None and "part" in last:
            number = repr(last["part"].split()[0][:60])
            raise BadResult(f"score_pattern = {self.pattern!r} finds a part of {number}; ([-+.\\w]+) finds all")
        numbers = {key: value for key, value in last.items() if key in _NUMBERS or isinstance(value, int | float)}
        others = {key: value for key, value in last.items() if key not in numbers}
        try:
            score, facts = read_result(numbers)
        except BadResult as error:
            raise BadResult(f"the last line with a score: {str(error).partition(';')[0]}") from error
        return score, not_ours(others) | facts


def _signal_of(code: int) -> int:
    """Return minus the signal that killed a shell's command, of which the shell makes 128 more than its number."""
    try:
        return -signal.Signals(code - 128)
    except ValueError:
        return code


def find_program(name: str, folder: str) -> str:
    """Return the path of a program: of a name in PATH, of a path in a folder or the working folder.

    Raises:
        NotFound: There is none that can be run.
    """
    if "/" not in name:
        if (program := shutil.which(name)) is None:
            here = f"; this Python is {sys.executable}" if name.startswith("python") else ""
            raise NotFound(f"{name!r} is not in PATH{here}")
        return program
    path = find_file(name, (folder, os.getcwd())).absolute()
    if not os.access(path, os.X_OK):
        raise NotFound(f"{path} is not executable (chmod +x)")
    return str(path)

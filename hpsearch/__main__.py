"""``hpsearch`` and ``python -m hpsearch``: errors become one line and an exit code here."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import textwrap
from contextlib import suppress
from typing import TextIO

from hpsearch.text import printable_line


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; by default those of this process.

    Returns:
        0, or 2 for bad input, 1 for a failure, 130 after Ctrl-C.
    """
    _open_streams()
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    thresholds = gc.get_threshold()
    try:
        return _run([argument for argument in given if argument != "--debug"])
    except KeyboardInterrupt as stopped:
        return _complain(str(stopped) or "stopped", 130)
    except BrokenPipeError:
        # The reader of the output has left: `hpsearch trials | head`.
        _drop(sys.stdout)
        return 1
    except SystemExit as ended:  # so Click answers a `BrokenPipeError`
        _drop(sys.stdout)
        return int(ended.code or 0)
    except Exception as error:
        if debug:
            sys.excepthook(type(error), error, error.__traceback__)
        if isinstance(error, OSError):
            _drop(sys.stdout)
        return _explain(error)
    finally:
        gc.set_threshold(*thresholds)
        try:
            sys.stderr.flush()
        except OSError:  # a full device, a closed terminal: notes are lost, and the exit code says what was done
            _drop(sys.stderr)


def _run(arguments: list[str]) -> int:
    # The objects of a command live until its end: searching them for garbage every 700 objects costs a tenth of a
    # second, and finds none.
    gc.set_threshold(100_000, 20, 20)
    # Imported here, as importing takes long enough for a Ctrl-C, which `main` answers.
    from hpsearch.executors.base import pin

    pin()
    from hpsearch.cli.app import app  # as above

    # The process of a job runs commands of its own: `main` is what it calls.
    code = app.main(args=arguments, prog_name="hpsearch", standalone_mode=False, obj=main)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _explain(error: Exception) -> int:
    from hpsearch.cli import render  # as in `_run`

    return _complain(*render.explained(error))


def _open_streams() -> None:
    # A shell may close them (`>&-`); then Python has None for a stream.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif getattr(getattr(sys, name), "errors", "") == "strict":
            # Of a character that the locale's encoding has not, its number is printed.
            getattr(sys, name).reconfigure(errors="backslashreplace")


def _drop(stream: TextIO) -> None:
    """Discard what is still to be written; flushing it at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _complain(message: str, code: int) -> int:
    line = printable_line(f"hpsearch: {' '.join(message.split())}")
    if sys.stderr.isatty():  # one line, wrapped between words for people
        line = textwrap.fill(line, shutil.get_terminal_size().columns, break_on_hyphens=False)
    with suppress(OSError):
        print(line, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""The command line: one thin file a subcommand. Every failure becomes one sentence and an exit code here, in `main`."""

from __future__ import annotations

import errno
import os
import sys
import threading
from io import TextIOWrapper
from typing import Annotated

import typer

from lungscan import __version__
from lungscan.commands.batch import batch
from lungscan.commands.bench import bench
from lungscan.commands.compare import compare
from lungscan.commands.config import Configurable
from lungscan.commands.doctor import doctor
from lungscan.commands.evaluate import evaluate
from lungscan.commands.explain import explain
from lungscan.commands.export import export
from lungscan.commands.inspect import inspect
from lungscan.commands.options import Verbose
from lungscan.commands.phantom import phantom
from lungscan.commands.prepare import prepare
from lungscan.commands.scan import scan
from lungscan.commands.train import train
from lungscan.commands.verify import verify
from lungscan.commands.weights import weights
from lungscan.errors import LungscanError, NotWritten

INTERRUPTED = 130
"""What Typer, too, ends with at Ctrl-C: without a word."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)

app = typer.Typer(
    name="lungscan",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From a chest CT to a report of its lung nodules. It helps a radiologist look; it is no medical device.",
    epilog="Example: lungscan scan SCAN.zip",
)
for configurable in (scan, batch, compare, explain):
    app.command(cls=Configurable)(configurable)
for command in (inspect, phantom, prepare, train, export, verify, bench, doctor):
    app.command()(command)
app.add_typer(evaluate)
app.add_typer(weights)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lungscan {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
    verbose: Verbose = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its code. A failure is one sentence on stderr; --verbose adds its traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name may hold what this terminal's encoding does not
    threading.excepthook = _in_a_thread
    try:
        app()
    except LungscanError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != INTERRUPTED:
            raise
        _fail("interrupted; what was finished is kept.", INTERRUPTED)
    except BrokenPipeError:
        _let_go_of_stdout()
        sys.exit(141)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            _let_go_of_stdout()
            _fail(str(NotWritten(error.errno, error.strerror, error.filename or "what was asked for")), NotWritten.exit_code)
        _fail(f"unexpected {type(error).__name__}: {error}; run again as `lungscan --verbose ...` and report it.", 1)


def _let_go_of_stdout() -> None:
    """What waits to be printed cannot be, and Python would try again as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_a_thread(failed: threading.ExceptHookArgs) -> None:
    """A thread that finds no room, as TensorBoard's may, tells whoever it writes for, who says so once."""
    if not (isinstance(failed.exc_value, OSError) and failed.exc_value.errno in NO_ROOM):
        threading.__excepthook__(failed)


def _fail(sentence: str, code: int) -> None:
    if "--verbose" in sys.argv:
        import traceback

        traceback.print_exc()
    from lungscan.report.text import harmless

    print(f"lungscan: {harmless(sentence, longest=2000)}", file=sys.stderr)
    sys.exit(code)

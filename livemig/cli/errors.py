"""How a command ends when something is wrong: one message on stderr and an exit status, never a traceback."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["BAD_INPUT", "DIFFERENT", "Commands", "SectionedCommand", "message", "say"]

DIFFERENT = 1
BAD_INPUT = 2
_INTERRUPTED = 130  # 128 + SIGINT, as a shell has it
_PIPE_CLOSED = 141  # 128 + SIGPIPE


class Commands(TyperGroup):
    """The group of all commands. Whatever one of them raises ends here."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a known error becomes a message and status 2."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be handled
            return result
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            say("interrupted")
            raise typer.Exit(_INTERRUPTED) from None
        except BrokenPipeError:
            _drop_stdout()
            raise typer.Exit(_PIPE_CLOSED) from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] in ("typer", "click"):
                raise  # wrong usage: typer says so, status 2
            say(message(error))
            raise typer.Exit(BAD_INPUT) from None


class SectionedCommand(TyperCommand):
    """A command whose --help has its options under the headings of their panels, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section a panel, in the order in which the panels first occur."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for title, records in panels.items():
            with formatter.section(title):
                formatter.write_dl(records)


def message(error: Exception) -> str:
    """What to tell the user. Exceptions that livemig defines carry a complete sentence, others get some context."""
    if type(error).__module__.partition(".")[0] == "livemig":
        return str(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"{os.fsdecode(error.filename)}: {reason}" if isinstance(error.filename, str | bytes) else reason
    if isinstance(error, MemoryError):
        return f"not enough memory for this: {error}" if str(error) else "not enough memory for this"
    return f"internal error, please report it: {type(error).__name__}: {error}"


def say(text: str) -> None:
    """One message on stderr."""
    print(f"livemig: {text}", file=sys.stderr)


def _drop_stdout() -> None:
    """What is still in the buffer has no reader; without this the interpreter would complain about it at its end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass

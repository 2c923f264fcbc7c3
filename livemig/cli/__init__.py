"""The command line. Typer and rich are imported here and nowhere else; each command imports what it needs when it runs.

Exit status: 0 the command did its work (a simulated migration that is cancelled or fails is a result, not an error),
1 something that was compared differs or a migration is predicted not to converge, 2 bad input, 130 interrupted, 141 the
reader of a pipe went away.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line on `sys.argv` and exit; the console script `livemig`."""
    import sys

    try:
        from livemig.cli.app import app
    except KeyboardInterrupt:
        sys.exit(130)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show a character gets a question mark
            stream.reconfigure(errors="replace" if stream is sys.stdout else "backslashreplace")
    app(prog_name="livemig")

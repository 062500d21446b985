"""The border of the command line: every error becomes three lines and an exit code. Knows no verb."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import click

from emer_edge.cli.terminal import mute_stdout, one_line, prepare_streams, put, say
from emer_edge.errors import EmerError, InputError, OutputError

PROGRAM = "emer-edge"

EXIT_CODES = (
    (0, "every clip has an answer"),
    (1, "some or all clips failed, or a result can't be written"),
    (2, "the call makes no sense: a flag, a path, a setting"),
    (3, "no such pack, or a pack that is unusable"),
    (4, "the device or provider that was asked for can't be had"),
    (5, "a limit would be passed; nothing was spent"),
    (130, "interrupted by Ctrl-C or SIGTERM"),
)
"""Every exit code and its meaning; documented, tested, never changed without a major version."""


class Root(click.Group):
    """The command `emer-edge`: imports a verb when it is called, and stands between it and the shell."""

    homes: dict[str, str]
    """Module and attribute of each verb, as `module:attribute`."""
    debug = False
    owns_process = False
    """Whether the process ends with the command, as it does from a shell and does not in a test."""

    def __init__(self, *args: Any, homes: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.homes = homes or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of the verbs, in the order they are registered."""
        return list(self.homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The verb of that name, imported now."""
        if cmd_name not in self.homes:
            return None
        module, _, attribute = self.homes[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def main(self, args: Any = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run, and leave with the exit code; never returns, never shows a traceback without --debug."""
        self.debug = False
        extra["standalone_mode"] = False
        prepare_streams()
        with _sigterm_as_ctrl_c():
            try:
                code = super().main(args, prog_name or PROGRAM, **extra)
                code = code if isinstance(code, int) else 0
                put("")
            except BaseException as error:
                code = self._leave(error)
            if self.owns_process:
                ignore_signals()  # the code is known: only the interpreter's end is left
        sys.exit(code)

    def _leave(self, error: BaseException) -> int:
        """Say what happened, in three lines, and give the exit code."""
        if isinstance(error, SystemExit):  # shell completion ends like this
            return error.code if isinstance(error.code, int) else 0
        if self.debug:
            import traceback

            with contextlib.suppress(OSError, ValueError):
                traceback.print_exception(error)
        if isinstance(error, BrokenPipeError):
            mute_stdout()  # the reader has gone, as in `| head`: nothing to say, nobody to tell
            return 1
        if isinstance(error, KeyboardInterrupt | click.Abort):
            say("Interrupted.")
            return 130
        known = as_emer_error(error)
        if isinstance(known, OutputError):
            mute_stdout()
        report(known)
        return known.exit_code


def report(error: EmerError) -> None:
    """Three lines on standard error: what, why, what to do; an empty line is left out."""
    say(f"error: {one_line(error.what)}")
    for line in (error.why, error.todo):
        if line:
            say(f"  {one_line(line)}")


def as_emer_error(error: BaseException) -> EmerError:
    """The error as one of ours; what is none of ours is a bug, and said to be one."""
    if isinstance(error, EmerError):
        return error
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else PROGRAM
        return InputError(error.format_message(), todo=f"Try: {command} --help")
    if isinstance(error, click.ClickException):
        return InputError(error.format_message())
    if isinstance(error, MemoryError):
        return EmerError("There is not enough memory.", todo="Close other programs or use a smaller pack.")
    if isinstance(error, OSError):
        return OutputError("Reading or writing failed.", str(error), "Check the paths and the free space.")
    return EmerError(
        f"This is a bug in emer-edge: {type(error).__name__}.",
        why=str(error),
        todo="Run again with --debug and report what is printed.",
    )


def debug_option(command: Any) -> Any:
    """Adds --debug to a verb."""

    def switch(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
        root = ctx.find_root().command
        if value and isinstance(root, Root):
            root.debug = True

    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=switch,
        help="Show the traceback of an error.",
    )(command)


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Treat a polite request to end as Ctrl-C, so that both clean up in the same way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is signal.default_int_handler:
            signal.signal(signal.SIGTERM, before)


def ignore_signals() -> None:
    """Let a late Ctrl-C or SIGTERM change nothing any more."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

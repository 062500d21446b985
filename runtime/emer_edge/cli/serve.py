"""`emer-edge serve`: the flags, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import PathText, engine_options


@click.command(name="serve", short_help="Answer over HTTP and WebSocket, with a page to try it.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8600,
    show_default=True,
    metavar="N",
    help="0: any free one.",
)
@click.option(
    "--api-key",
    envvar="EMER_EDGE_API_KEY",
    show_envvar=True,
    metavar="KEY",
    help="Key that clients send as `Authorization: Bearer KEY`. Needed for any --host but this machine.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Further name under which clients may reach the server.",
)
@engine_options
@click.option(
    "--queue",
    type=click.IntRange(0, 10_000),
    default=8,
    show_default=True,
    metavar="N",
    help="Requests that may wait while one is answered; further ones get 503.",
)
@click.option(
    "--live-sessions",
    type=click.IntRange(0, 1000),
    default=2,
    show_default=True,
    metavar="N",
    help="Live sessions at the same time.",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(0.1, 86_400),
    default=60,
    show_default=True,
    metavar="S",
    help="Seconds a request may wait for its turn before it gets 503.",
)
@click.option(
    "--deadline",
    "deadline_seconds",
    type=click.FloatRange(1, 86_400),
    default=120,
    show_default=True,
    metavar="S",
    help="Seconds one answer may take before its worker is ended.",
)
@click.option(
    "--drain",
    "drain_seconds",
    type=click.FloatRange(1, 86_400),
    default=30,
    show_default=True,
    metavar="S",
    help="Seconds answers may take to end after SIGTERM or Ctrl-C.",
)
@click.option(
    "--max-upload-mb",
    type=click.IntRange(1, 65_536),
    default=256,
    show_default=True,
    metavar="N",
    help="Largest clip, MiB.",
)
@click.option("--certificate", type=PathText(), metavar="FILE", help="PEM certificate: serve over HTTPS.")
@click.option("--certificate-key", type=PathText(), metavar="FILE", help="PEM key of the certificate.")
@click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@debug_option
def serve(**flags: Any) -> int:
    """Answer over HTTP and WebSocket, with a page to try it.

    Clips are answered by a worker process that may crash without taking the server along. Only this machine
    can reach the server unless a key is set. Ends with 0 on SIGTERM or Ctrl-C, once the answers that were
    begun have ended. See docs/server.md.

    \b
    Examples:
      emer-edge serve
      emer-edge serve --threads 2 --port 8700
      EMER_EDGE_API_KEY=... emer-edge serve --host 0.0.0.0
    """
    from emer_edge.cli.terminal import say
    from emer_edge.config import DEFAULTS, load_settings
    from emer_edge.errors import InputError
    from emer_edge.server.settings import Engine, ServerSettings

    chosen = load_settings({name: flags.pop(name, None) for name in DEFAULTS})
    engine = Engine(
        chosen.text("pack") or "emer-nano",
        chosen.text("device") or "cpu",
        chosen.threads,
        chosen.text("decoder") or "auto",
    )
    quiet, upload_mb = flags.pop("quiet"), flags.pop("max_upload_mb")
    for name in ("certificate", "certificate_key"):
        flags[name] = Path(flags[name]) if flags[name] else None
    flags["api_key"] = flags["api_key"] or ""
    settings = ServerSettings(engine=engine, upload_bytes=upload_mb * 1024**2, **flags)
    try:
        from emer_edge.server.run import serve as run
    except ImportError as error:
        raise InputError(
            f"The server needs {error.name}, which is not installed.",
            todo='Run: pip install "emer-edge[serve]"',
        ) from error
    return run(settings, lambda address: None if quiet else say(f"Listening on {address}"))

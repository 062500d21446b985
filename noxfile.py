"""The developer's sessions: `nox -s lint tests cpp fuzz`; scripts/test.sh runs the first three alone."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "tests", "cpp"]


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, types and import floors."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """The Python tests; pass arguments of pytest after `--`."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", *session.posargs)


@nox.session
def cpp(session: nox.Session) -> None:
    """The C++ tests under sanitizers."""
    session.run("bash", "scripts/test_cpp.sh", *session.posargs, external=True)


@nox.session
def fuzz(session: nox.Session) -> None:
    """20,000 mutated clips through probe and decode."""
    session.install("-e", ".[dev]")
    session.run("python", "tests/fuzz/fuzz_media.py", "--count", "20000")
    session.run("python", "tests/fuzz/fuzz_gguf.py", "--rounds", "20000")

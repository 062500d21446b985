"""An export that is broken off where its report names a file, as Ctrl-C would."""

from __future__ import annotations

import pytest

from emer_export.run import Request, plan_export, run_export


def interrupted(request: Request, at: str) -> list[str]:
    """Export until a file whose name begins with `at` is reported; what was reported until then, in order."""
    seen: list[str] = []

    def report(file: str, _share: float | None) -> None:
        seen.append(file)
        if file.startswith(at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_export(plan_export(request), report)
    return list(dict.fromkeys(seen))

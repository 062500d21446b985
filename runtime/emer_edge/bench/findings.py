"""One line of the doctor's report. Knows no machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "warn", "fail"]
SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what mends it."""

    name: str
    state: State
    found: str
    """What was found, in one line."""
    mend: str = ""
    """The very command that mends it; empty where nothing has to be mended."""


@dataclass(frozen=True, slots=True)
class Report:
    """Every finding, in the order of the report."""

    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The worst state of all lines."""
        states = {finding.state for finding in self.findings}
        return "fail" if "fail" in states else "warn" if "warn" in states else "ok"

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON object."""
        return {
            "schema_version": SCHEMA_VERSION,
            "state": self.state,
            "findings": [asdict(finding) for finding in self.findings],
        }

"""`/openapi.json`: what the routes take and give. Knows the routes' words; answers nothing."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emer_edge.server.problems import STATUS

HERE = Path(__file__).parent
SCHEMAS = HERE.parent / "schemas"


def describe_routes() -> dict[str, Any]:
    """The OpenAPI 3.1 document: `openapi.json` of this folder with the schemas and the errors put in."""
    document: dict[str, Any] = json.loads((HERE / "openapi.json").read_text(encoding="utf-8"))
    document["info"]["version"] = version("emer-edge")
    schemas = document["components"]["schemas"]
    reasoning = json.loads((SCHEMAS / "reasoning.schema.json").read_text(encoding="utf-8"))
    schemas["Reasoning"] = {
        name: value for name, value in reasoning.items() if name not in ("$schema", "$id")
    }
    problem = {"description": "An error", "content": {"application/json": {"schema": _ref("Problem")}}}
    kinds: dict[int, list[str]] = {}
    for kind, status in STATUS.items():
        kinds.setdefault(status, []).append(kind.__name__)
    for path in document["paths"].values():
        for operation in path.values():
            if operation.pop("x-errors", False):
                for status, names in sorted(kinds.items()):
                    described = {**problem, "description": ", ".join(names)}
                    operation["responses"].setdefault(str(status), described)
    return document


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}

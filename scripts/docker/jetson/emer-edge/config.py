"""The two packages of this folder, one for JetPack 6 and one for JetPack 7: jetson-containers runs this file.

It gives the dictionary `package` of this folder and takes back a list; which of the two fits the machine it
finds out by `requires`. Knows jetson-containers' convention alone.
"""

from __future__ import annotations

from typing import Any

package: Any = globals().get("package") or {}


def variant(name: str) -> dict[str, Any]:
    """One of the two, built as root, because further packages may be laid on top."""
    return {
        **package,
        "name": f"emer-edge:{name}",
        "alias": ["emer-edge"],
        "dockerfile": f"Dockerfile.{name}",
        "requires": [{"jp6": "==36.*", "jp7": ">=38"}[name]],
        "depends": ["cuda", "cudastack:standard", "cmake", "python", "numpy", "onnxruntime"],
        "test": ["test.py"],
        "build_args": {"RUN_AS": "root"},
    }


package = [variant("jp6"), variant("jp7")]

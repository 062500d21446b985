"""Take the voice activity detector out of the `silero-vad` wheel into `emer_edge/live/models`, unchanged.

Knows the one file by its hash. Run once, by hand; the wheel itself asks for PyTorch, its network does not:

    python scripts/vendor_silero_vad.py silero_vad-6.2.3-py3-none-any.whl
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

MEMBER = "silero_vad/data/silero_vad_16k_sequence.onnx"
SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
TARGET = Path(__file__).parents[1] / "runtime/emer_edge/live/models/silero_vad.onnx"


def main() -> int:
    """Read the wheel, check the hash, write the file."""
    with zipfile.ZipFile(sys.argv[1]) as archive:
        data = archive.read(MEMBER)
    if hashlib.sha256(data).hexdigest() != SHA256:
        print(f"{sys.argv[1]}: {MEMBER} is not the file this script knows", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(data)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

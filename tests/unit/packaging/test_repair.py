"""Wheels that carry their libraries: licences go along, RECORD stays true, nothing else slips in."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import io
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
INFO = "emer_edge-0.1.0.dist-info"
LIBRARIES = (
    "libavcodec-1a2b3c4d.so.61.19.101",
    "libavformat-1a2b3c4d.so.61.7.100",
    "libavutil-1a2b3c4d.so.59.39.100",
    "libdav1d-1a2b3c4d.so.7.0.0",
    "libswresample-1a2b3c4d.so.5.3.100",
    "libswscale-1a2b3c4d.so.8.3.100",
)
METADATA = (
    "Metadata-Version: 2.4\nName: emer-edge\nLicense-Expression: Apache-2.0 AND MIT\nLicense-File: LICENSE\n"
    "\n# Text\n"
)


def script(name: str) -> ModuleType:
    """A script of scripts/wheels as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "wheels" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


repair, loaded = script("repair"), script("loaded")


def write_wheel(path: Path, libraries: tuple[str, ...] = LIBRARIES) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        module = zipfile.ZipInfo("emer_edge/_core.so")
        module.external_attr = 0o100755 << 16
        archive.writestr(module, b"\x7fELF")
        for name in libraries:
            archive.writestr(f"emer_edge.libs/{name}", b"\x7fELF" * 10)
        archive.writestr(f"{INFO}/METADATA", METADATA)
        archive.writestr(f"{INFO}/RECORD", "stale,,\n")
    return path


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    notices = tmp_path / "libav" / "share" / "notices"
    notices.mkdir(parents=True)
    (notices / "BUNDLED.txt").write_text("ffmpeg 7.1, unmodified")
    (notices / "ffmpeg-COPYING.LGPLv2.1").write_text("GNU LESSER")
    return tmp_path / "libav"


def auditwheel(libraries: tuple[str, ...] = LIBRARIES) -> Any:
    """Stands in for the real one: a wheel with those libraries lies in the folder that was asked for."""

    def run(command: list[str], **options: Any) -> None:
        assert command[:3] == ["auditwheel", "repair", "--wheel-dir"]
        assert options["env"]["LD_LIBRARY_PATH"].split(":")[0].endswith("libav/lib")
        write_wheel(Path(command[3]) / "emer_edge-0.1.0-cp311-cp311-manylinux_2_28_x86_64.whl", libraries)

    return run


def test_notices_go_along_and_record_is_true(tmp_path: Path, prefix: Path) -> None:
    out = repair.repair(tmp_path / "raw.whl", prefix, tmp_path / "out", auditwheel())
    assert out == tmp_path / "out" / "emer_edge-0.1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        assert archive.read(f"{INFO}/licenses/bundled/ffmpeg-COPYING.LGPLv2.1") == b"GNU LESSER"
        assert names[-1] == f"{INFO}/RECORD"
        assert len(names) == len(set(names))
        rows = {row[0]: row for row in csv.reader(io.StringIO(archive.read(f"{INFO}/RECORD").decode()))}
        assert set(rows) == set(names)
        for name in names[:-1]:
            data = archive.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert rows[name][1:] == [f"sha256={digest}", str(len(data))]
        metadata = archive.read(f"{INFO}/METADATA").decode()
        assert archive.getinfo("emer_edge/_core.so").external_attr >> 16 == 0o100755
    assert "License-Expression: Apache-2.0 AND MIT AND LGPL-2.1-or-later AND BSD-2-Clause\n" in metadata
    assert "License-File: LICENSE\nLicense-File: bundled/BUNDLED.txt\n" in metadata
    assert metadata.endswith("\n\n# Text\n")
    assert repair.bundled_libraries(out) == dict.fromkeys(LIBRARIES, 40)


@pytest.mark.parametrize("libraries", [(), LIBRARIES[1:], (*LIBRARIES, "libx264-1a2b3c4d.so.164")])
def test_other_libraries_are_refused(tmp_path: Path, prefix: Path, libraries: tuple[str, ...]) -> None:
    with pytest.raises(repair.RepairError, match="The wheel holds"):
        repair.repair(tmp_path / "raw.whl", prefix, tmp_path / "out", auditwheel(libraries))
    assert not (tmp_path / "out").exists()


def test_auditwheel_absent_or_failing(tmp_path: Path, prefix: Path) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("auditwheel")

    def failing(*_: Any, **__: Any) -> None:
        raise subprocess.CalledProcessError(1, "auditwheel")

    with pytest.raises(repair.RepairError, match="pip install auditwheel"):
        repair.repair(tmp_path / "raw.whl", prefix, tmp_path, absent)
    with pytest.raises(repair.RepairError, match="exit code 1"):
        repair.repair(tmp_path / "raw.whl", prefix, tmp_path, failing)


def test_metadata_without_a_licence_is_refused() -> None:
    with pytest.raises(repair.RepairError, match="License-Expression"):
        repair.add_licences("Name: emer-edge\n\ntext", [])


def test_which_libav_was_loaded() -> None:
    maps = (
        "7f00-7f01 r-xp 00000000 fe:00 1 /venv/site/emer_edge.libs/libavcodec-1a2b.so.61.19.101\n"
        "7f01-7f02 r-xp 00000000 fe:00 2 /venv/site/av.libs/libavutil-9f.so.60.8.100\n"
        "7f02-7f03 r-xp 00000000 fe:00 3 /usr/lib/x86_64-linux-gnu/libswscale.so.6\n"
        "7f03-7f04 r-xp 00000000 fe:00 4 /usr/lib/x86_64-linux-gnu/libc.so.6\n"
        "7ffc-7ffd rw-p 00000000 00:00 0 [stack]\n7ffe-7fff rw-p 00000000 00:00 0\n"
    )
    libraries = loaded.loaded_libraries(maps)
    assert [path.name for path in libraries] == [
        "libswscale.so.6",
        "libavutil-9f.so.60.8.100",
        "libavcodec-1a2b.so.61.19.101",
    ]
    assert loaded.foreign(libraries, Path("/venv/site")) == [
        Path("/usr/lib/x86_64-linux-gnu/libswscale.so.6")
    ]

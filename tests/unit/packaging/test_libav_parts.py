"""The wheel's own libav: its parts are the decoder's allow-lists, its sources are pinned, it is LGPL."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WHEELS = ROOT / "scripts" / "wheels"
CODECS = (ROOT / "cpp_ext" / "src" / "media_codecs.cpp").read_text(encoding="utf-8")
OTHER_NAMES = {
    "av1": "libdav1d",
    "mov_text": "movtext",
    "mp3": "mp3float",
    "amr_nb": "amrnb",
    "amr_wb": "amrwb",
}
"""FFmpeg's decoder of a codec, where it has another name than the codec."""
DEMUXERS = {
    **dict.fromkeys(("mp4", "m4a", "3gp", "3g2", "mj2"), "mov"),
    "webm": "matroska",
    "mpeg": "mpegps",
}
TELL_CODECS = {"mpegvideo", "m4v", "h264", "hevc", "ac3", "eac3", "loas"}
"""Demuxers that libavformat asks which codec the bytes of a program stream are; no clip opens as one."""


def parts() -> dict[str, list[str]]:
    """Names by kind, as `libav.sh` reads them."""
    found: dict[str, list[str]] = {}
    for line in (WHEELS / "components.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            kind, *names = line.split()
            found.setdefault(kind, []).extend(names)
    return found


def test_decoders_are_those_of_the_allow_list() -> None:
    allowed = [name.lower() for name in re.findall(r"^\s.*?AV_CODEC_ID_\w+.*$", CODECS, re.MULTILINE)]
    names = set(re.findall(r"av_codec_id_(\w+)", " ".join(allowed)))
    assert len(names) > 40
    assert sorted(parts()["decoder"]) == sorted(OTHER_NAMES.get(name, name) for name in names)


def test_demuxers_are_those_of_the_allow_list() -> None:
    listed = re.search(r'kContainers =\s*"([\w,]+)"', CODECS)
    assert listed is not None
    containers = {DEMUXERS.get(name, name) for name in listed[1].split(",")}
    assert not containers & TELL_CODECS
    assert set(parts()["demuxer"]) == containers | TELL_CODECS


def test_nothing_encodes_writes_or_connects() -> None:
    assert set(parts()) == {"decoder", "demuxer", "parser", "bsf"}
    for names in parts().values():
        assert len(names) == len(set(names))
    script = (WHEELS / "libav.sh").read_text(encoding="utf-8")
    for flag in ("--disable-everything", "--disable-network", "--disable-programs", "--disable-autodetect"):
        assert flag in script
    for word in (
        "--enable-gpl",
        "--enable-nonfree",
        "--enable-version3",
        "--enable-protocol",
        "--enable-network",
    ):
        assert word not in script
    assert "License: LGPL version 2.1 or later" in script


def test_sources_are_pinned() -> None:
    lines = (WHEELS / "sources.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    assert [row[0] for row in rows] == ["dav1d", "ffmpeg"]
    for name, version, sha256, address in rows:
        assert re.fullmatch(r"[0-9a-f]{64}", sha256)
        assert address.startswith("https://")
        assert f"{name}-{version}.tar" in address


@pytest.mark.parametrize("script", ["libav.sh", "build.sh", "check.sh"])
def test_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", str(WHEELS / script)], check=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is no --prefix"),
        (["--prefix", "out"], "there are no sources"),
        (["--prefix", "out", "--fast"], "--fast is no option"),
        (["--prefix", "out", "--sources", "."], "no file in"),
    ],
)
def test_libav_refuses(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Nothing is fetched unless asked: a folder without the archives is an error that names one."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("meson", "ninja", "nasm", "make", "pkg-config"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    # A compiler that finds every header: what is tried comes before anything is compiled.
    (tools / "cc").write_text("#!/bin/sh\ncat >/dev/null\n")
    (tools / "cc").chmod(0o755)
    done = subprocess.run(
        ["bash", str(WHEELS / "libav.sh"), *arguments],
        cwd=tmp_path,
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert said in done.stderr

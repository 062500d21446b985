#!/usr/bin/env bash
# Builds and runs the C++ tests without Python, under sanitizers.
# Usage: scripts/test_cpp.sh [address,undefined | thread | ""]
set -euo pipefail
cd "$(dirname "$0")/.."
sanitize="${1-address,undefined}"
build="build/cpp-${sanitize//,/-}"
venv="${EMER_EDGE_VENV:-.venv}"
python="$venv/bin/python"
[ -x "$python" ] || python=python3
"$python" tests/data/make_clips.py build/test-clips >/dev/null
cmake -S . -B "$build" -G Ninja -DEMER_PYTHON=OFF -DEMER_TESTS=ON -DEMER_SANITIZE="$sanitize" \
  -DEMER_TEST_DATA="$PWD/build/test-clips" -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
cmake --build "$build" -j "$(nproc)"
# libav keeps some allocations for the life of the process; leaks of our own are looked for by the memory test.
ASAN_OPTIONS=detect_leaks=0 ctest --test-dir "$build" --output-on-failure

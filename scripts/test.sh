#!/usr/bin/env bash
# Sets up what is missing and runs every check: formatting, types, floors, Python tests, C++ tests under sanitizers.
# Usage: scripts/test.sh [pytest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --dev
bin="$PWD/${EMER_EDGE_VENV:-.venv}/bin"
case "${EMER_EDGE_VENV:-}" in /*) bin="$EMER_EDGE_VENV/bin" ;; esac
export PATH="$bin:$PATH"
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

say "ruff"
ruff check .
ruff format --check .
say "mypy"
mypy
say "import floors"
lint-imports --no-cache
say "C++ tests under AddressSanitizer and UndefinedBehaviourSanitizer"
scripts/test_cpp.sh
say "Python tests"
python -m pytest -q -m "not slow" "$@"

#!/usr/bin/env bash
# Sets up what is missing, and only that: system packages where it may, a virtual environment, the native build.
# Usage: scripts/setup.sh [--dev]      (--dev adds what the tests need)
set -euo pipefail
cd "$(dirname "$0")/.."

extras=""
[ "${1:-}" = "--dev" ] && extras="[dev]"
venv="${EMER_EDGE_VENV:-.venv}"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
stop() { printf 'setup stopped: %s\n  %s\n  %s\n' "$1" "$2" "$3" >&2; exit 1; }

# 1. System packages: Python, the compiler, and libav's headers for the native decoder.
python="${PYTHON:-python3}"
missing=()
if ! command -v "$python" >/dev/null; then
  missing+=(python3 python3-venv python3-dev)
else
  "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  "$python" -c 'import sysconfig, pathlib, sys; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' ||
    missing+=(python3-dev)
fi
command -v g++ >/dev/null || missing+=(g++)
command -v pkg-config >/dev/null || missing+=(pkg-config)
for library in libavformat libavcodec libavutil libswscale libswresample; do
  pkg-config --exists "$library" 2>/dev/null || missing+=("$library-dev")
done
# A browser for the tests of the server's page, which are skipped without one.
if [ -n "$extras" ] && ! command -v chromium chromium-browser google-chrome chrome >/dev/null; then
  missing+=(chromium)
fi
if [ ${#missing[@]} -gt 0 ]; then
  as_root=""
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root="sudo"; else as_root="none"; fi
  fi
  if command -v apt-get >/dev/null && [ "$as_root" != none ]; then
    say "installing system packages: ${missing[*]}"
    install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
    $as_root apt-get update -qq || true
    install "${missing[@]}" || for package in "${missing[@]}"; do
      install "$package" || say "apt-get could not install $package; going on without it"
    done
  else
    say "can't install system packages here (no root): ${missing[*]}"
    say "  run: sudo apt-get install ${missing[*]}"
  fi
fi

# 2. What can't be done without.
command -v "$python" >/dev/null ||
  stop "there is no $python." "emer-edge is a Python program." "Install Python 3.10 or newer, or set PYTHON."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  stop "$("$python" --version) is too old." "emer-edge needs Python 3.10 or newer." "Install one and set PYTHON=/path/to/python3."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  stop "Python can't make virtual environments." "The module ensurepip is missing." "Run: sudo apt-get install python3-venv"
command -v g++ >/dev/null || command -v clang++ >/dev/null ||
  stop "there is no C++ compiler." "The native part and llama.cpp are built on this machine." "Run: sudo apt-get install g++"

# 3. The virtual environment.
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then  # absent, or left half made
  say "making the virtual environment $venv"
  "$python" -m venv --clear "$venv"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check -U "pip>=23.3" || true
fi

# 4. The packages and the native build, again only when something they are made from has changed.
stamp="$venv/.emer-edge-setup"
libav="$(pkg-config --modversion libavformat libavcodec libavutil libswscale libswresample 2>&1 || true)"
made_from="$({ cat pyproject.toml CMakeLists.txt; find cpp_ext -type f -print0 | LC_ALL=C sort -z | xargs -0 cat; echo "$libav"; } | sha256sum | cut -d' ' -f1)"
now="$extras $made_from"
done_before="$(cat "$stamp" 2>/dev/null || true)"
if { [ "$done_before" = "$now" ] || { [ -z "$extras" ] && [ "$done_before" = "[dev]$now" ]; }; } &&
  "$venv/bin/python" -c 'import emer_edge._core' 2>/dev/null; then
  say "everything is set up already"
  exit 0
fi
# llama.cpp is built from source. A build for this very processor would crash on another one that shares the cache,
# so x86-64 gets AVX2; on ARM the build follows the board.
if [ -z "${CMAKE_ARGS:-}" ]; then
  CMAKE_ARGS="-DLLAVA_BUILD=OFF"
  [ "$(uname -m)" = x86_64 ] && CMAKE_ARGS="$CMAKE_ARGS -DGGML_NATIVE=OFF"
  export CMAKE_ARGS
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
say "installing Python packages (the first time llama.cpp is compiled: 5 to 15 minutes on two cores)"
pip install -q "scikit-build-core>=1.1" "pybind11>=3.0" "cmake>=3.20" "ninja>=1.11" ||
  stop "the build tools could not be installed." "pip failed; its message is above." "Check the network and the package index."
pip install -q "llama-cpp-python>=0.3.36,<0.4" ||
  stop "llama-cpp-python could not be built." "Its message is above." "Check the compiler and that 2 GB of disk and memory are free."
unset CMAKE_ARGS
say "building emer-edge"
pip install -q --no-build-isolation -e ".$extras" -Cbuild-dir="build/$(basename "$venv")" ||
  stop "emer-edge could not be built." "The message of pip is above." "Mend what it names and run this again."
printf '%s' "$now" >"$stamp"
say "done: $("$venv/bin/emer-edge" --version)"

#!/usr/bin/env bash
# Sets up what is missing and runs the main job: what does the person in the clip feel, and why?
# Usage: scripts/demo.sh [CLIP] [options of emer-edge infer]     (the clip comes first)
# Without a clip it draws one: no recording of a person may be shipped with the project.
set -euo pipefail
# The clip is named from where the caller stands.
[ $# -gt 0 ] && [ -e "$1" ] && set -- "$(realpath -- "$1")" "${@:2}"
cd "$(dirname "$0")/.."
scripts/setup.sh
venv="${EMER_EDGE_VENV:-.venv}"
if [ $# -eq 0 ] || [ "${1#-}" != "$1" ]; then
  "$venv/bin/python" examples/make_demo_clip.py build/demo/demo.mp4
  set -- build/demo/demo.mp4 "$@"
fi
exec "$venv/bin/emer-edge" infer "$@"

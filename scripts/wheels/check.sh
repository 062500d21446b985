#!/usr/bin/env bash
# Tries a self-contained wheel as a user would: a fresh virtual environment, an empty folder, the system's libav out of sight.
# Usage: scripts/wheels/check.sh WHEEL [--tests]     (--tests also runs the media tests against the wheel)
# PYTHON names the Python; it must be the one that the wheel is for. EMER_CHECK_VENV keeps and reuses the environment.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
python="${PYTHON:-python3}"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
stop() { printf 'check.sh stopped: %s\n  %s\n' "$1" "$2" >&2; exit 1; }

[ $# -ge 1 ] && [ -f "$1" ] || stop "there is no wheel ${1:-}." "Usage: scripts/wheels/check.sh WHEEL [--tests]"
wheel="$(realpath -- "$1")"
tests="${2:-}"
[ -z "$tests" ] || [ "$tests" = --tests ] || stop "$tests is no option of this script." "Options: --tests"

# The system's libav disappears for this process alone, in a mount namespace of its own: any library of the wheel that
# looked for one of these would fail to load.
if [ -z "${EMER_LIBAV_HIDDEN:-}" ]; then
  export EMER_LIBAV_HIDDEN=1
  alone=(unshare --mount)
  [ "$(id -u)" = 0 ] || alone+=(--map-root-user)
  # shellcheck disable=SC2016  # the inner shell expands it
  exec "${alone[@]}" bash -c '
    for library in $(ldconfig -p | sed -n "s|.* => ||p" | grep -E "/lib(av(codec|format|util)|sw(scale|resample)|dav1d)\.so"); do
      mount --bind /dev/null "$(realpath "$library")"
      printf "hidden: %s\n" "$library" >&2
    done
    exec "$@"' bash "$0" "$@" || stop "the system's libav can't be hidden." "Mount namespaces are needed: run this as root."
fi

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
venv="${EMER_CHECK_VENV:-$folder/venv}"
say "a fresh environment with the wheel"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check --force-reinstall --no-deps "$wheel"
"$venv/bin/python" -m pip install -q --disable-pip-version-check "$wheel"

say "made clips"
"$venv/bin/python" "$root/tests/data/make_clips.py" "$folder/clips" >/dev/null
mkdir "$folder/empty"
cd "$folder/empty"
export XDG_CACHE_HOME="$folder/cache" XDG_CONFIG_HOME="$folder/config"
# Nothing of the checkout, and no library path, may help.
unset PYTHONPATH LD_LIBRARY_PATH

say "the decoder and its libraries"
clips=()
for name in h264_aac.mp4 hevc_aac.mp4 vp8_opus.webm vp9_opus.webm av1.mkv mpeg4_mp3.avi mpeg2_mp2.mpg h264_mp2.ts \
  prores.mov mjpeg_pcm.avi sound.flac sound.mp3 sound.ogg; do
  clips+=("$folder/clips/$name")
done
"$venv/bin/python" "$root/scripts/wheels/loaded.py" "${clips[@]}"

say "emer-edge doctor"
"$venv/bin/emer-edge" doctor
say "emer-edge infer"
"$venv/bin/emer-edge" infer "$folder/clips/h264_aac.mp4" --subtitle "I can't believe it, we won!"

if [ -n "$tests" ]; then
  say "the media tests"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check pytest hypothesis pillow
  cd "$root"
  "$venv/bin/python" -m pytest -q -p no:cacheprovider tests/unit/media
fi
say "the wheel stands on its own"

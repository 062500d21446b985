#!/usr/bin/env bash
# Builds the libav of the wheel: dav1d and an LGPL FFmpeg with the decoders of components.txt alone, as shared libraries.
# No encoders, no network, no protocols, no programs, nothing under the GPL.
# Usage: scripts/wheels/libav.sh --prefix FOLDER (--sources FOLDER | --download) [--work FOLDER] [--jobs N]
#   --sources  a folder that holds the archives of sources.txt, under any name: they are known by their SHA-256
#   --download fetches them from the addresses in sources.txt; nothing is fetched without it
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
# Everything that the builds print is kept; when one fails, its end is shown.
logged() {
  local log="$1"
  shift
  "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; stop "$1 failed." "The whole of it is in $log"; }
}
stop() { printf 'libav.sh stopped: %s\n  %s\n' "$1" "$2" >&2; exit 1; }

prefix="" sources="" download="" work="" jobs="$(nproc)"
while [ $# -gt 0 ]; do
  case "$1" in
    --prefix) prefix="$(realpath -m -- "$2")"; shift 2 ;;
    --sources) sources="$(realpath -- "$2")"; shift 2 ;;
    --download) download=yes; shift ;;
    --work) work="$(realpath -m -- "$2")"; shift 2 ;;
    --jobs) jobs="$2"; shift 2 ;;
    *) stop "$1 is no option of this script." "Options: --prefix --sources --download --work --jobs" ;;
  esac
done
[ -n "$prefix" ] || stop "there is no --prefix." "Say where the libraries shall lie."
[ -n "$sources$download" ] || stop "there are no sources." "Pass --sources FOLDER, or --download."
work="${work:-$prefix.build}"
mkdir -p "$work/archives" "$prefix"

# The same sources, parts and script, built before: nothing to do.
stamp="$prefix/.made-from"
made_from="$(cat "$here/sources.txt" "$here/components.txt" "$here/libav.sh" | sha256sum | cut -d' ' -f1) $(uname -m)"
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$made_from" ]; then
  say "$prefix is built already"
  exit 0
fi

need() { command -v "$1" >/dev/null || stop "there is no $1." "Install it: $2"; }
need cc "apt install gcc, or dnf install gcc"
need make "apt install make, or dnf install make"
need pkg-config "apt install pkg-config, or dnf install pkgconf-pkg-config"
need meson "pip install meson"
need ninja "pip install ninja"
[ "$(uname -m)" != x86_64 ] || need nasm "apt install nasm, or dnf install nasm; without it decoding is several times slower"
echo '#include <zlib.h>' | cc -E -x c - >/dev/null 2>&1 ||
  stop "there are no headers of zlib." "Install them: apt install zlib1g-dev, or dnf install zlib-devel"

# Name, version, SHA-256, address -> the archive, checked.
archive() {
  local name="$1" version="$2" sha="$3" address="$4" found="$work/archives/$3" file
  if [ ! -e "$found" ] && [ -n "$sources" ]; then
    for file in "$sources"/*; do
      [ -f "$file" ] && [ "$(sha256sum <"$file" | cut -d' ' -f1)" = "$sha" ] && cp "$file" "$found" && break
    done
  fi
  if [ ! -e "$found" ] && [ -n "$download" ]; then
    say "fetching $address"
    curl --fail --silent --show-error --location --proto '=https' --output "$found.part" "$address" >&2
    mv "$found.part" "$found"
  fi
  [ -e "$found" ] || stop "no file in $sources is $name $version." "Its SHA-256 is $sha; it comes from $address"
  [ "$(sha256sum <"$found" | cut -d' ' -f1)" = "$sha" ] ||
    { rm -f "$found"; stop "$address is not what was pinned." "Its SHA-256 should be $sha"; }
  printf '%s' "$found"
}

unpack() {
  rm -rf "${work:?}/$1"
  mkdir -p "$work/$1"
  tar -xf "$2" -C "$work/$1" --strip-components=1
}

notices="$prefix/share/notices"
rm -rf "$notices"
mkdir -p "$notices"
while read -r name version sha address; do
  case "$name" in '' | '#'*) continue ;; esac
  file="$(archive "$name" "$version" "$sha" "$address")"
  unpack "$name" "$file"
  printf '%s %s, unmodified, from %s (SHA-256 %s)\n' "$name" "$version" "$address" "$sha" >>"$notices/BUNDLED.txt"
done <"$here/sources.txt"

export PKG_CONFIG_LIBDIR="$prefix/lib/pkgconfig"
rm -f "$work/dav1d.log" "$work/ffmpeg.log"
say "dav1d"
logged "$work/dav1d.log" meson setup "$work/dav1d/build" "$work/dav1d" --prefix "$prefix" --libdir lib --buildtype release \
  --default-library shared -Denable_tools=false -Denable_tests=false -Dlogging=false
logged "$work/dav1d.log" ninja -C "$work/dav1d/build" -j "$jobs"
logged "$work/dav1d.log" meson install -C "$work/dav1d/build" --strip --no-rebuild

flags=(
  --disable-everything --disable-autodetect --disable-network --disable-programs --disable-doc --disable-debug
  --disable-avdevice --disable-avfilter --disable-static --enable-shared --enable-pic --enable-zlib --enable-libdav1d
)
while read -r kind names; do
  case "$kind" in '' | '#'*) continue ;; esac
  for name in $names; do flags+=("--enable-$kind=$name"); done
done <"$here/components.txt"

say "FFmpeg"
cd "$work/ffmpeg"
logged "$work/ffmpeg.log" ./configure --prefix="$prefix" "${flags[@]}"
grep -q '^License: LGPL version 2.1 or later' "$work/ffmpeg.log" ||
  stop "this FFmpeg would not be under the LGPL 2.1." "Look at $work/ffmpeg.log"
# A name that this FFmpeg does not know would otherwise be left out with a warning.
for flag in "${flags[@]}"; do
  case "$flag" in --enable-*=*) ;; *) continue ;; esac
  kind="${flag#--enable-}"
  upper="$(printf '%s_%s' "${kind#*=}" "${kind%%=*}" | tr '[:lower:]' '[:upper:]')"
  grep -q "^#define CONFIG_$upper 1\$" config_components.h || stop "FFmpeg has no $flag." "Mend components.txt"
done
logged "$work/ffmpeg.log" make -j "$jobs"
logged "$work/ffmpeg.log" make install

cp COPYING.LGPLv2.1 "$notices/ffmpeg-COPYING.LGPLv2.1"
cp LICENSE.md "$notices/ffmpeg-LICENSE.md"
cp ../dav1d/COPYING "$notices/dav1d-COPYING"
{
  printf '\nFFmpeg was configured with:\n'
  printf '  %s\n' "${flags[@]}"
  printf '\nThe libraries lie in emer_edge.libs and may be replaced by others of the same version: build them with\n'
  printf 'scripts/wheels/libav.sh of emer-edge and copy each over the file of its name there.\n'
} >>"$notices/BUNDLED.txt"
printf '%s' "$made_from" >"$stamp"
say "done: $prefix"

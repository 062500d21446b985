#!/usr/bin/env bash
# Inside the image: llama.cpp with CUDA, ONNX Runtime with CUDA, emer-edge from the sdist beside this file.
# The Dockerfile's ARGs come as environment variables: CUDA_ARCHITECTURES, LLAMA_CPP_PYTHON_VERSION, ONNXRUNTIME_INDEX, EXTRAS.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
stop() { printf 'build.sh stopped: %s\n' "$*" >&2; exit 1; }

sdists=("$here"/*.tar.gz)
[ "${#sdists[@]}" = 1 ] || stop "there must be one sdist, not ${#sdists[@]}."

apt-get update
apt-get install -y --no-install-recommends \
  g++ libavcodec-dev libavformat-dev libavutil-dev libgomp1 libswresample-dev libswscale-dev \
  ninja-build pkg-config python3-dev python3-pip python3-venv
rm -rf /var/lib/apt/lists/*

# In a chain of jetson-containers the environment of its package `python`, which holds its onnxruntime; alone, one of our
# own, since Ubuntu 24.04 lets pip write to no other.
if [ -z "${VIRTUAL_ENV:-}" ]; then
  python3 -m venv /opt/emer-edge
  export VIRTUAL_ENV=/opt/emer-edge
fi
export PATH="$VIRTUAL_ENV/bin:/usr/local/cuda/bin:$PATH"
python -m pip --version >/dev/null 2>&1 || python -m ensurepip
pip() { python -m pip "$@"; }

has_cuda() {
  python -c "import onnxruntime as o, sys; sys.exit('CUDAExecutionProvider' not in o.get_available_providers())" 2>/dev/null
}
has_cuda || pip install --index-url "$ONNXRUNTIME_INDEX" --no-deps onnxruntime-gpu

# Orin's and Thor's cores both have these; -march=native would depend on where the image was built.
CMAKE_ARGS="-DGGML_CUDA=on -DGGML_NATIVE=off -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16 -DLLAVA_BUILD=OFF \
-DCMAKE_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES} -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined" \
  pip install --no-binary llama-cpp-python "llama-cpp-python==${LLAMA_CPP_PYTHON_VERSION}"

# What emer-edge needs, but not onnxruntime: it writes the same files as onnxruntime-gpu, without CUDA in them.
pip install --no-deps "${sdists[0]}"
EXTRAS="${EXTRAS:-}" python - >"$here/needs.txt" <<'PYTHON'
import os
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement

extras = ["", *filter(None, os.environ["EXTRAS"].split(","))]
for text in [*requires("emer-edge"), "coloredlogs", "flatbuffers", "packaging", "protobuf", "sympy"]:
    need = Requirement(text)
    if need.name == "onnxruntime" or (need.marker and not any(need.marker.evaluate({"extra": e}) for e in extras)):
        continue
    need.marker = None
    print(need)
PYTHON
pip install -r "$here/needs.txt"

has_cuda || stop "there is no onnxruntime with CUDA, also not at $ONNXRUNTIME_INDEX."
python -c "from emer_edge import _core; assert _core.decode_backend()['have_libav']"
useradd --uid 10001 --create-home --groups video emer

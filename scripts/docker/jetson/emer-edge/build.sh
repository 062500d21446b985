#!/usr/bin/env bash
# Inside the image: llama.cpp with CUDA, ONNX Runtime with CUDA, emer-edge from the sdist beside this file.
# The Dockerfile's ARGs come as environment variables: CUDA_ARCHITECTURES, LLAMA_CPP_PYTHON_VERSION, ONNXRUNTIME_INDEX, EXTRAS.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
export DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

apt-get update
apt-get install -y --no-install-recommends \
  g++ libavcodec-dev libavformat-dev libavutil-dev libgomp1 libswresample-dev libswscale-dev \
  ninja-build pkg-config python3-dev python3-venv
rm -rf /var/lib/apt/lists/*

# An environment of its own, which sees what earlier packages installed: Ubuntu 24.04 lets pip write to no other.
python3 -m venv --system-site-packages /opt/emer-edge
export PATH="/opt/emer-edge/bin:/usr/local/cuda/bin:$PATH"
pip install "cmake>=3.24" "scikit-build-core>=1.1" "pybind11>=3.0"

# Orin's and Thor's cores both have these; -march=native would depend on where the image was built.
CMAKE_ARGS="-DGGML_CUDA=on -DGGML_NATIVE=off -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16 -DLLAVA_BUILD=OFF \
-DCMAKE_CUDA_ARCHITECTURES=${CUDA_ARCHITECTURES} -DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined" \
  pip install --no-binary llama-cpp-python "llama-cpp-python==${LLAMA_CPP_PYTHON_VERSION}"

has_cuda() {
  python -c "import onnxruntime as o, sys; sys.exit('CUDAExecutionProvider' not in o.get_available_providers())" 2>/dev/null
}
before="$(pip freeze | grep -i '^onnxruntime' || true)"
kept=""
has_cuda && kept=yes

sdists=("$here"/*.tar.gz)
[ "${#sdists[@]}" = 1 ] || { echo "build.sh stopped: there must be one sdist, not ${#sdists[@]}." >&2; exit 1; }
pip install "${sdists[0]}[${EXTRAS}]"

# emer-edge asks for onnxruntime, and pip knows no other name for it: the one for the processor alone must go, or it
# would hide the one with CUDA, since both write the same files.
if [ -x /opt/emer-edge/bin/python ] && [ -d "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/onnxruntime" ]; then
  pip uninstall -y onnxruntime
fi
if [ -z "$kept" ]; then
  pip install --no-deps --index-url "$ONNXRUNTIME_INDEX" onnxruntime-gpu
fi
has_cuda || { echo "build.sh stopped: no onnxruntime with CUDA (before: ${before:-none})." >&2; exit 1; }
python -c "from emer_edge import _core; assert _core.decode_backend()['have_libav']"

useradd --uid 10001 --create-home --groups video emer

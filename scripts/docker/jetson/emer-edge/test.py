"""What an image must do on the board: jetson-containers runs it inside, with the GPU.

    docker run --rm --runtime nvidia -v "$PWD:/test:ro" emer-edge:jp6 python /test/test.py

Fails where anything fell back to the processor. Knows emer-edge's public names and doctor's words.
"""

from __future__ import annotations

import sys

import onnxruntime
from llama_cpp import llama_supports_gpu_offload

import emer_edge as ee
from emer_edge.bench.doctor import examine
from emer_edge.bench.self_test import made_clip


def main() -> int:
    """Doctor, then one answer on the GPU."""
    print(f"onnxruntime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}")
    report = examine()
    for finding in report.findings:
        print(f"{finding.state:4}  {finding.name}  {finding.found}")
    wrong = [finding.name for finding in report.findings if finding.state == "fail"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        wrong.append("onnxruntime has no CUDA")
    if not llama_supports_gpu_offload():
        wrong.append("llama.cpp has no CUDA")
    if not wrong:
        with ee.load("emer-nano", device="cuda") as reasoner:
            out = reasoner.infer(made_clip())
        print(f"on cuda: {out.emotions[0].label}, {out.timings.total:.2f} s")
    print("emer-edge OK" if not wrong else f"emer-edge failed: {', '.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

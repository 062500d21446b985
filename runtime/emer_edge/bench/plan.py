"""How much memory a pack will take, said before it is loaded, and what to choose where that is too much.

Knows headers: ONNX graphs, GGUF, manifest. Loads no weight. Constants are measured, and named with what they
were measured on; `docs/doctor.md` holds the estimates against measured peaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from emer_edge.bench.costs import LlmShape, llm_shape
from emer_edge.bench.onnx_read import Graph, read_graph
from emer_edge.errors import InputError
from emer_edge.packs.records import EncoderFile, Manifest

MIB = 1024**2
RUNTIME_BYTES = 80 * MIB
"""Interpreter, numpy and the engines' libraries as far as they are touched: 80.0 MiB on x86-64 Linux with
Python 3.11, onnxruntime 1.32 and llama-cpp-python 0.3.36."""
ONNX_BYTES = 22 * MIB
"""ONNX Runtime's first session without its weights, same machine."""
FACE_BYTES = 65 * MIB
"""The face detector with a frame of 640 x 360 at a time: weights, workspace, frames, same machine."""
LLAMA_BYTES = 6 * MIB
"""llama.cpp's model and context without weights, cells and buffers, same machine."""
_CELLS, _MICRO_BATCH, _OUTPUTS = 256, 512, 64
"""llama.cpp rounds cells up to the first; the other two are set in `llm.library`."""
_PACKED_INT8 = 1.3
"""Weights of an int8 graph once ONNX Runtime has packed them for its kernels, over their stored size."""
_REPACKED = ("Q4_0", "Q4_K", "IQ4_NL")
"""Types that llama.cpp lays out anew on AVX2 and Arm, beside the mapped file."""
CLIP_WIDTH, CLIP_HEIGHT = 1280, 720
_REFERENCES = 24
"""Pictures that a decoder keeps: 16 references of H.264 at most, and those in flight."""
_HEADROOM = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files of a pack, and how large a context."""

    vision: str
    audio: str
    llm: str
    n_ctx: int
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes by part; on a GPU `device` holds what leaves the host's memory."""

    choice: Choice
    host: dict[str, int]
    device: dict[str, int]

    @property
    def host_bytes(self) -> int:
        """All of the host's."""
        return sum(self.host.values())

    @property
    def device_bytes(self) -> int:
        """All of the GPU's."""
        return sum(self.device.values())

    @property
    def total_bytes(self) -> int:
        """Both: what a machine with one memory for both, as a Jetson, has to have."""
        return self.host_bytes + self.device_bytes

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON object."""
        return {
            "choice": asdict(self.choice),
            "host": self.host,
            "device": self.device,
            "host_bytes": self.host_bytes,
            "device_bytes": self.device_bytes,
            "total_bytes": self.total_bytes,
        }


def default_choice(manifest: Manifest, device: str = "cpu") -> Choice:
    """What a session loads."""
    return Choice(
        manifest.encoders.vision.default,
        manifest.encoders.audio.default,
        manifest.llm.default,
        manifest.llm.n_ctx,
        device,
    )


def estimate(
    folder: Path, manifest: Manifest, choice: Choice, clip: tuple[int, int] = (CLIP_WIDTH, CLIP_HEIGHT)
) -> Estimate:
    """The peak of a process that answers one clip after the other.

    Args:
        folder: of the pack.
        manifest: its own.
        choice: which files.
        clip: width and height of the clips in pixels.

    Raises:
        PackError: a header can't be read. InputError: the pack has no such file.
    """
    engines: dict[str, int] = {}
    for name, spec, key in (
        ("vision", manifest.encoders.vision, choice.vision),
        ("audio", manifest.encoders.audio, choice.audio),
    ):
        weights, workspace = encoder_bytes(folder, _pick(spec.files, key))
        engines |= {f"{name} weights": weights, f"{name} workspace": workspace}
    shape = llm_shape(folder / _pick(manifest.llm.files, choice.llm).path)
    engines |= llm_bytes(shape, choice.n_ctx)
    # A fusion of the kind `tokens` has no file.
    fusion = sum(file.size_bytes for file in manifest.files if file.path == manifest.fusion.path)
    host = {"runtime": RUNTIME_BYTES, "onnxruntime": ONNX_BYTES, "fusion": 2 * fusion}
    host |= {"clip": clip_bytes(manifest, clip)}
    if manifest.preprocessing.frames.source == "faces":
        host["face detector"] = FACE_BYTES
    if choice.device == "cpu":
        return Estimate(choice, host | engines, {})
    # The token table stays mapped on the host, where prompts are laid out.
    return Estimate(choice, host | {"token table": shape.table_bytes}, engines)


def _pick(files: Any, key: str) -> Any:
    if key not in files:
        raise InputError(f"The pack has no {key!r}.", f"It has {', '.join(files)}.")
    return files[key]


def encoder_bytes(folder: Path, file: EncoderFile) -> tuple[int, int]:
    """Weights as ONNX Runtime keeps them, and the workspace of one run."""
    graph = read_graph(folder / file.path)
    weights = sum(value.size_bytes for value in graph.weights.values())
    narrow = sum(value.size_bytes for value in graph.weights.values() if value.kind in (2, 3))
    return round(weights + (_PACKED_INT8 - 1) * narrow), live_bytes(graph)


def live_bytes(graph: Graph) -> int:
    """The most that lies between operators at one time, in the file's order: all that is still needed."""
    from emer_edge.bench.costs import fill_shapes

    fill_shapes(graph)
    last: dict[str, int] = {}
    for at, node in enumerate(graph.nodes):
        for name in node.takes:
            last[name] = at
    for name in graph.outputs:
        last[name] = len(graph.nodes)
    alive = {name: graph.values[name].size_bytes for name in graph.inputs if name in graph.values}
    most = sum(alive.values())
    for at, node in enumerate(graph.nodes):
        for name in node.gives:
            value = graph.values.get(name)
            if value is not None and name in last:
                alive[name] = value.size_bytes
        most = max(most, sum(alive.values()))
        for name in node.takes:
            if last.get(name) == at:
                alive.pop(name, None)
    return most


def llm_bytes(shape: LlmShape, n_ctx: int) -> dict[str, int]:
    """Weights, keys and values, and buffers of a language model."""
    cells = -(-n_ctx // _CELLS) * _CELLS
    rows = min(_MICRO_BATCH, cells)
    repacked = shape.block_bytes if shape.precision in _REPACKED else 0
    logits = _OUTPUTS * shape.n_vocab * 4
    widest = shape.n_embd * 4 + shape.feed_forward * 3 + shape.heads * shape.key_length * 3
    return {
        "llm weights": shape.file_bytes + repacked,
        "keys and values": cells * shape.kv_bytes_per_token(),
        # Logits once in the graph and once where they are read; activations of the widest layer.
        "llm buffers": LLAMA_BYTES + 2 * logits + rows * widest * 4,
    }


def clip_bytes(manifest: Manifest, clip: tuple[int, int]) -> int:
    """Decoding: reference pictures (8-bit 4:2:0), the sampled frames, a minute of sound, the windows."""
    frames, audio = manifest.preprocessing.frames, manifest.preprocessing.audio
    # Faces are looked for in frames of at most 640 a side, of the clip's own shape.
    shrunk = min(1.0, 640 / max(clip)) if frames.source == "faces" else 0.0
    looked_at = round(clip[0] * clip[1] * shrunk * shrunk)
    pictures = frames.count * 3 * (looked_at + 4 * frames.height * frames.width)
    windows = 4 * audio.windows * round(audio.window_seconds * audio.sample_rate)
    return round(clip[0] * clip[1] * 1.5 * _REFERENCES) + pictures + 3 * windows + 4 * 60 * audio.sample_rate


def choices(manifest: Manifest, device: str) -> Iterator[Choice]:
    """What can be taken, from the default to the smallest: a smaller language model first, then smaller
    encoders, then half the context."""
    first = default_choice(manifest, device)
    listed = {file.path: file.size_bytes for file in manifest.files}

    def smaller(files: Any, than: str) -> list[str]:
        # Of a graph with data beside it both files count.
        sizes = {key: sum(listed[path] for path in file.paths) for key, file in files.items()}
        return sorted((key for key in files if sizes[key] < sizes[than]), key=lambda key: -sizes[key])

    yield first
    llms = [first.llm, *smaller(manifest.llm.files, first.llm)]
    for llm in llms[1:]:
        yield replace(first, llm=llm)
    least = replace(first, llm=llms[-1])
    for name in ("vision", "audio"):
        files = getattr(manifest.encoders, name).files
        for key in smaller(files, getattr(least, name)):
            least = replace(least, vision=key) if name == "vision" else replace(least, audio=key)
            yield least
    if least.n_ctx >= 512:
        yield replace(least, n_ctx=least.n_ctx // 2)


@dataclass(frozen=True, slots=True)
class Advice:
    """The default's estimate, and what to take in the memory there is."""

    memory_bytes: int
    asked: Estimate
    best: Estimate | None
    """The first choice that fits, or None."""
    note: str

    @property
    def fits(self) -> bool:
        """Whether the default fits."""
        return self.best is not None and self.best.choice == self.asked.choice

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON object."""
        return {
            "schema_version": "1.0",
            "memory_bytes": self.memory_bytes,
            "fits": self.fits,
            "asked": self.asked.to_dict(),
            "best": self.best.to_dict() if self.best else None,
            "note": self.note,
        }


def advise(
    folder: Path,
    manifest: Manifest,
    memory_bytes: int,
    device: str = "cpu",
    clip: tuple[int, int] = (CLIP_WIDTH, CLIP_HEIGHT),
) -> Advice:
    """Whether a pack fits, and what of it to take; arguments and errors as `estimate`.

    `memory_bytes` is the memory that the process may have, a GPU's included where it is the same memory.
    """
    asked = estimate(folder, manifest, default_choice(manifest, device), clip)
    room = memory_bytes * (1 - _HEADROOM)
    for choice in choices(manifest, device):
        found = estimate(folder, manifest, choice, clip)
        if found.total_bytes <= room:
            return Advice(memory_bytes, asked, found, _note(asked.choice, found.choice))
    return Advice(memory_bytes, asked, None, "nothing of this pack fits: take a smaller pack")


def _note(asked: Choice, best: Choice) -> str:
    if asked == best:
        return "load it as it is"
    changed = [
        f"{name} {getattr(best, name)} instead of {getattr(asked, name)}"
        for name in ("llm", "vision", "audio", "n_ctx")
        if getattr(best, name) != getattr(asked, name)
    ]
    return f"take {', '.join(changed)}: set as the default in the pack's manifest"

"""What a manifest says, as frozen values. Knows no JSON and no file system.

Field by field this is `emer_edge/schemas/manifest.schema.json`; `packs.manifest` checks every range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emer_edge.results import ClueModality, Modality

FrameRule = Literal["uniform_index", "midpoint_time"]
ResizeRule = Literal["stretch", "shorter_crop", "fit"]
SoftToken = Literal["multi", "audio", "vision"]
Point = tuple[float, float]
LABELS_FIELD = "{labels}"
"""In a question of the pack: the labels that were chosen, so that the answer explains that decision."""
ALONE_FIELD = "{alone}"
"""In a question of the pack: what each modality shows by itself, so that the answer need not guess it."""


@dataclass(frozen=True, slots=True)
class Licence:
    """Under what terms the weights may be used."""

    id: str
    """SPDX identifier."""
    file: str
    note: str


@dataclass(frozen=True, slots=True)
class FaceAlign:
    """Where the features of an aligned face lie, as shares of the crop's width and height."""

    left_eye: Point
    right_eye: Point
    mouth: Point


@dataclass(frozen=True, slots=True)
class FacePreprocessing:
    """How faces are cut out."""

    align: FaceAlign
    minimum_share: float
    """Share of sampled frames that must show a face for the vision part to be used, 0..1."""


@dataclass(frozen=True, slots=True)
class FramePreprocessing:
    """Which frames the vision encoder wants, and how."""

    source: Literal["frames", "faces"]
    rule: FrameRule
    count: int
    height: int
    width: int
    resize: ResizeRule
    filter: Literal["bicubic"]
    channel_order: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    """Subtracted per channel from values in 0..1."""
    std: tuple[float, float, float]
    """Divides per channel."""
    faces: FacePreprocessing | None
    """There when `source` is `faces`."""


@dataclass(frozen=True, slots=True)
class AudioPreprocessing:
    """Which windows of sound the audio encoder wants, and how."""

    sample_rate: int
    """Hz."""
    windows: int
    window_seconds: float
    rule: Literal["affectgpt"]
    """Window i of n begins at i * max(duration - window, 0) / n; short sound is zero-padded to one window."""
    center: Literal["none", "window", "window_inplace"]
    normalise: Literal["none", "joint"]
    epsilon: float
    """Added to the variance."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a clip becomes tensors."""

    frames: FramePreprocessing
    audio: AudioPreprocessing


@dataclass(frozen=True, slots=True)
class TensorDeclared:
    """One tensor of an encoder."""

    name: str
    dtype: Literal["float32", "float16"]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncoderFile:
    """One encoder at one precision."""

    path: str
    input: TensorDeclared
    output: TensorDeclared
    data: str = ""
    """The file in the same folder that holds the graph's weights; empty where they lie inside the graph."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that is loaded with it."""
        return (self.path, self.data) if self.data else (self.path,)


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One encoder."""

    dim: int
    default: str
    """Key of `files`."""
    files: Mapping[str, EncoderFile]
    """By precision: `fp32`, `int8`."""


@dataclass(frozen=True, slots=True)
class Encoders:
    """Both encoders."""

    vision: EncoderSpec
    audio: EncoderSpec


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One encoder compiled for certain GPUs; it is loaded only where all of this holds."""

    encoder: Literal["vision", "audio"]
    precision: str
    """Key of the encoder's files: the graph it was compiled from."""
    path: str
    onnx_sha256: str
    """Of that graph, as `engine_section.graph_sha256` says."""
    library: Literal["tensorrt", "tensorrt-rtx"]
    version: str
    """Of the library, all of it."""
    architectures: tuple[str, ...]
    """`sm86`: compute capability 8.6."""
    driver: str
    """CUDA version of the driver it was built with; empty where it was built without a GPU."""


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """The fusion's kind, weights and widths."""

    kind: Literal["attention", "mean", "tokens"]
    """`tokens`: what the encoders give are the soft tokens already, one network for a whole clip."""
    path: str
    """Empty for `tokens`."""
    vision_dim: int
    audio_dim: int
    model_dim: int


@dataclass(frozen=True, slots=True)
class LlmFile:
    """The language model at one quantisation."""

    path: str

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that is loaded with it."""
        return (self.path,)


@dataclass(frozen=True, slots=True)
class LlmSpec:
    """The language model."""

    architecture: str
    """llama.cpp's word, `general.architecture`."""
    n_embd: int
    n_vocab: int
    n_ctx: int
    default: str
    """Key of `files`."""
    files: Mapping[str, LlmFile]
    """By quantisation: `Q8_0`, `Q4_K_M`."""


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A stretch of the prompt, left out unless all of `needs` are there."""

    text: str
    needs: tuple[Modality, ...]


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """The prompt template."""

    add_bos: bool
    parts: tuple[PromptPart, ...]
    markers: Mapping[str, SoftToken]
    questions: Mapping[str, str]
    """By name; `{labels}` in one stands for the labels that were chosen from the logits, `{alone}` for what
    each modality shows by itself."""

    def needs_labels(self, question: str) -> bool:
        """Whether the question of that name tells what was read; false for a name that is no question's."""
        words = self.questions.get(question, "")
        return LABELS_FIELD in words or ALONE_FIELD in words


@dataclass(frozen=True, slots=True)
class SentimentGroups:
    """Which candidates make up which sentiment."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    neutral: tuple[str, ...]

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The three by name."""
        return {"positive": self.positive, "negative": self.negative, "neutral": self.neutral}


@dataclass(frozen=True, slots=True)
class AloneSpec:
    """That each modality is also read by itself, and what becomes of it."""

    names: Mapping[Modality, str]
    """What `{alone}` calls them."""
    sure: float
    """From this confidence on, 0..1, what a modality shows by itself is told, and reported as a label."""
    unsure: str
    """What `{alone}` says of a modality that is less sure."""
    quiet: tuple[str, ...]
    """Candidates that show no feeling: a modality alone does not make labels of them."""


@dataclass(frozen=True, slots=True)
class LabelSpec:
    """The candidate labels and how they are scored."""

    candidates: tuple[str, ...]
    question: str
    """Key of `PromptSpec.questions`."""
    answer_prefix: str
    joiner: str
    report_above: float
    """Confidence, 0..1."""
    at_most: int
    sentiment: SentimentGroups
    temperature: float = 1.0
    """Divides the log-probabilities before they become confidences; fitted, so that these are calibrated."""
    when_unclear: str | None = None
    """The candidate that says that nothing can be read; as the best one it is reported alone, else never."""
    alone: AloneSpec | None = None
    """There where each modality is also read by itself."""


@dataclass(frozen=True, slots=True)
class QuoteMarks:
    """The marks between which the answer quotes the subtitle; what stands there is held to its words."""

    open: str
    close: str


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """Defaults of text generation."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    repetition_penalty: float
    stop: tuple[str, ...]
    quotes: QuoteMarks | None = None


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of the pack."""

    path: str
    """Relative to the pack's folder, with `/`."""
    size_bytes: int
    sha256: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is known about one model."""

    schema_version: str
    name: str
    version: str
    family: str
    description: str
    licence: Licence
    card: str
    preprocessing: Preprocessing
    encoders: Encoders
    fusion: FusionSpec
    llm: LlmSpec
    prompt: PromptSpec
    labels: LabelSpec
    clues: Mapping[ClueModality, tuple[str, ...]]
    """Words that tell which modality a sentence speaks of."""
    generation: GenerationSpec
    files: tuple[PackFile, ...]
    evaluation: Mapping[str, Any]
    """Measured figures; free form."""
    parity: Mapping[str, Any]
    """Differences between the exported and the trained model; free form."""
    engines: tuple[EngineSpec, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Sum of all files."""
        return sum(file.size_bytes for file in self.files)

"""The sections of a manifest: each takes its fields, checks ranges and returns a frozen value."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Literal

from emer_edge.packs.fields import Fields
from emer_edge.packs.records import (
    ALONE_FIELD,
    LABELS_FIELD,
    AloneSpec,
    AudioPreprocessing,
    EncoderFile,
    Encoders,
    EncoderSpec,
    FaceAlign,
    FacePreprocessing,
    FramePreprocessing,
    FusionSpec,
    GenerationSpec,
    LabelSpec,
    LlmFile,
    LlmSpec,
    Point,
    Preprocessing,
    PromptPart,
    PromptSpec,
    QuoteMarks,
    SentimentGroups,
    TensorDeclared,
)
from emer_edge.results import Modality

_SIDE = 4096
_FRAMES, _QUESTION_CHARS, _NEW_TOKENS = 64, 2000, 2048
_WIDTH = 65_536
_MARK_CHARS = 16
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]*\}")
_QUESTION_FIELD = re.compile(r"\{\s*\w*\s*\}")
_MODALITIES: tuple[Modality, ...] = ("vision", "audio", "subtitle")
_NEEDS = {"multi": {"vision", "audio"}, "audio": {"audio"}, "vision": {"vision"}}


def preprocessing(fields: Fields) -> Preprocessing:
    """`preprocessing`."""
    out = Preprocessing(_frames(fields.fields("frames")), _audio(fields.fields("audio")))
    fields.done()
    return out


def _frames(fields: Fields) -> FramePreprocessing:
    source: Literal["frames", "faces"] = fields.choice("source", ("frames", "faces"))
    if (source == "faces") != fields.has("faces"):
        raise fields.error("faces", "belongs to the source `faces` and to no other")
    out = FramePreprocessing(
        source=source,
        rule=fields.choice("rule", ("uniform_index", "midpoint_time")),
        count=fields.whole("count", 1, _FRAMES),
        height=fields.whole("height", 1, _SIDE),
        width=fields.whole("width", 1, _SIDE),
        resize=fields.choice("resize", ("stretch", "shorter_crop", "fit")),
        filter=fields.choice("filter", ("bicubic",)),
        channel_order=fields.choice("channel_order", ("rgb", "bgr")),
        mean=_three(fields, "mean", -1000.0),
        std=_three(fields, "std", 1e-6),
        faces=_faces(fields.fields("faces")) if source == "faces" else None,
    )
    fields.done()
    return out


def _three(fields: Fields, key: str, low: float) -> tuple[float, float, float]:
    red, green, blue = fields.items(key, 3, 3, lambda at, value: fields.as_number(at, value, low, 1000.0))
    return red, green, blue


def _faces(fields: Fields) -> FacePreprocessing:
    align = fields.fields("align")
    out = FacePreprocessing(
        FaceAlign(_point(align, "left_eye"), _point(align, "right_eye"), _point(align, "mouth")),
        fields.number("minimum_share", 0.0, 1.0),
    )
    align.done()
    fields.done()
    return out


def _point(fields: Fields, key: str) -> Point:
    x, y = fields.items(key, 2, 2, lambda at, value: fields.as_number(at, value, 0.0, 1.0))
    return x, y


def _audio(fields: Fields) -> AudioPreprocessing:
    out = AudioPreprocessing(
        sample_rate=fields.whole("sample_rate", 8_000, 48_000),
        windows=fields.whole("windows", 1, 256),
        window_seconds=fields.number("window_seconds", 0.01, 60.0),
        rule=fields.choice("rule", ("affectgpt",)),
        center=fields.choice("center", ("none", "window", "window_inplace")),
        normalise=fields.choice("normalise", ("none", "joint")),
        epsilon=fields.number("epsilon", 0.0, 1.0),
    )
    fields.done()
    return out


def encoders(fields: Fields) -> Encoders:
    """`encoders`."""
    out = Encoders(_encoder(fields.fields("vision")), _encoder(fields.fields("audio")))
    fields.done()
    return out


def _encoder(fields: Fields) -> EncoderSpec:
    out = EncoderSpec(
        dim=fields.whole("dim", 1, _WIDTH),
        default=fields.text("default", most=32),
        files=fields.table(
            "files", 1, 16, lambda at, value: _encoder_file(Fields(value, f"{fields.where}.{at}"))
        ),
    )
    if out.default not in out.files:
        raise fields.error("default", "is not one of its files")
    for precision, file in out.files.items():
        if file.output.shape[1:] != (out.dim,):
            raise fields.error(f"files.{precision}.output.shape", "is not [rows, dim]")
    fields.done()
    return out


def _encoder_file(fields: Fields) -> EncoderFile:
    out = EncoderFile(
        fields.path("path", ".onnx"),
        _tensor(fields.fields("input")),
        _tensor(fields.fields("output")),
        fields.path("data", ".data") if fields.has("data") else "",
    )
    # A graph names its data by a plain file name.
    if out.data and PurePosixPath(out.data).parent != PurePosixPath(out.path).parent:
        raise fields.error("data", "is not in the folder of its graph")
    fields.done()
    return out


def _tensor(fields: Fields) -> TensorDeclared:
    out = TensorDeclared(
        fields.text("name", most=128, least=1),
        fields.choice("dtype", ("float32", "float16")),
        fields.items("shape", 2, 5, lambda at, value: fields.as_whole(at, value, 1, 10_000_000)),
    )
    fields.done()
    return out


def fusion(fields: Fields) -> FusionSpec:
    """`fusion`."""
    kind: Literal["attention", "mean", "tokens"] = fields.choice("kind", ("attention", "mean", "tokens"))
    if kind == "tokens" and fields.has("path"):
        raise fields.error("path", "belongs to a fusion with weights")
    out = FusionSpec(
        kind,
        "" if kind == "tokens" else fields.path("path", ".safetensors"),
        fields.whole("vision_dim", 1, _WIDTH),
        fields.whole("audio_dim", 1, _WIDTH),
        fields.whole("model_dim", 1, _WIDTH),
    )
    fields.done()
    return out


def llm(fields: Fields) -> LlmSpec:
    """`llm`."""
    out = LlmSpec(
        architecture=fields.text("architecture", most=32, pattern=_ARCHITECTURE),
        n_embd=fields.whole("n_embd", 1, _WIDTH),
        n_vocab=fields.whole("n_vocab", 2, 10_000_000),
        n_ctx=fields.whole("n_ctx", 64, 1_048_576),
        default=fields.text("default", most=32),
        files=fields.table(
            "files", 1, 32, lambda at, value: _llm_file(Fields(value, f"{fields.where}.{at}"))
        ),
    )
    if out.default not in out.files:
        raise fields.error("default", "is not one of its files")
    fields.done()
    return out


def _llm_file(fields: Fields) -> LlmFile:
    out = LlmFile(fields.path("path", ".gguf"))
    fields.done()
    return out


def prompt(fields: Fields) -> PromptSpec:
    """`prompt`: markers and `{...}` stand only where what they stand for is there."""
    out = PromptSpec(
        add_bos=fields.flag("add_bos"),
        parts=fields.items("parts", 1, 64, lambda at, value: _part(Fields(value, f"{fields.where}.{at}"))),
        markers=fields.table(
            "markers",
            0,
            16,
            lambda at, value: fields.as_choice(at, value, ("multi", "audio", "vision")),
            re.compile(r"[^\s{}]{1,64}"),
        ),
        questions=fields.table(
            "questions",
            1,
            64,
            lambda at, value: fields.as_text(at, value, most=_QUESTION_CHARS, least=1),
        ),
    )
    fields.done()
    if sum(part.text.count("{question}") for part in out.parts) != 1:
        raise fields.error("parts", "do not hold {question} exactly once")
    for index, part in enumerate(out.parts):
        _check_part(fields, f"parts[{index}]", part, out)
    for name, words in out.questions.items():
        _check_question(fields, f"questions.{name}", words)
    for marker in out.markers:
        if not any(marker in part.text for part in out.parts):
            raise fields.error("markers", f"has {marker}, which stands in no part")
    return out


def _part(fields: Fields) -> PromptPart:
    text = fields.text("text", most=8000)
    needs: tuple[Modality, ...] = ()
    if fields.has("needs"):
        needs = fields.items("needs", 0, 3, lambda at, value: fields.as_choice(at, value, _MODALITIES))
    fields.done()
    return PromptPart(text, needs)


def _check_part(fields: Fields, at: str, part: PromptPart, whole: PromptSpec) -> None:
    if len(set(part.needs)) != len(part.needs):
        raise fields.error(f"{at}.needs", "says something twice")
    for marker, token in whole.markers.items():
        if marker in part.text and not _NEEDS[token] <= set(part.needs):
            raise fields.error(at, f"holds {marker} without needing {' and '.join(sorted(_NEEDS[token]))}")
    for word in _PLACEHOLDER.findall(part.text):
        if word not in ("{subtitle}", "{question}"):
            raise fields.error(at, f"holds {word}, which nothing fills in")
    if "{subtitle}" in part.text and "subtitle" not in part.needs:
        raise fields.error(at, "holds {subtitle} without needing subtitle")
    if "{question}" in part.text and part.needs:
        raise fields.error(at, "holds {question} and may be left out")


def _check_question(fields: Fields, at: str, words: str) -> None:
    for word in _QUESTION_FIELD.findall(words):
        if word not in (LABELS_FIELD, ALONE_FIELD):
            raise fields.error(
                at,
                f"holds {word[:40]}, which nothing fills in",
                f"A question may hold {LABELS_FIELD} and {ALONE_FIELD} and no other field.",
            )


def labels(fields: Fields) -> LabelSpec:
    """`labels`."""
    candidates = fields.texts("candidates", 1, 512, most=64)
    groups = fields.fields("sentiment")
    unclear = fields.text("when_unclear", most=64) if fields.has("when_unclear") else None
    if unclear is not None and unclear not in candidates:
        raise fields.error("when_unclear", "is not one of its candidates")
    out = LabelSpec(
        candidates=candidates,
        question=fields.text("question", most=32),
        answer_prefix=fields.text("answer_prefix", most=400),
        joiner=fields.text("joiner", most=8),
        report_above=fields.number("report_above", 0.0, 1.0),
        at_most=fields.whole("at_most", 1, 64),
        sentiment=SentimentGroups(
            groups.texts("positive", 0, 512, most=64),
            groups.texts("negative", 0, 512, most=64),
            groups.texts("neutral", 0, 512, most=64),
        ),
        temperature=fields.number("temperature", 0.01, 100.0) if fields.has("temperature") else 1.0,
        when_unclear=unclear,
        alone=_alone(fields.fields("alone"), candidates) if fields.has("alone") else None,
    )
    groups.done()
    fields.done()
    grouped = [*out.sentiment.positive, *out.sentiment.negative, *out.sentiment.neutral]
    if len(set(grouped)) != len(grouped) or not set(grouped) <= set(candidates):
        raise fields.error("sentiment", "names a label twice or one that is no candidate")
    if unclear in grouped:
        raise fields.error(
            "sentiment", f"counts {unclear!r}", "Where nothing can be read there is no sentiment either."
        )
    return out


def _alone(fields: Fields, candidates: tuple[str, ...]) -> AloneSpec:
    names = fields.fields("names")
    out = AloneSpec(
        names={modality: names.text(modality, most=32, least=1) for modality in _MODALITIES},
        sure=fields.number("sure", 0.0, 1.0),
        unsure=fields.text("unsure", most=32, least=1),
        quiet=fields.texts("quiet", 0, 512, most=64),
    )
    names.done()
    if not set(out.quiet) <= set(candidates):
        raise fields.error("quiet", "names one that is no candidate")
    fields.done()
    return out


def generation(fields: Fields) -> GenerationSpec:
    """`generation`."""
    out = GenerationSpec(
        max_new_tokens=fields.whole("max_new_tokens", 1, _NEW_TOKENS),
        temperature=fields.number("temperature", 0.0, 10.0),
        top_p=fields.number("top_p", 1e-6, 1.0),
        top_k=fields.whole("top_k", 0, 1_000_000),
        repetition_penalty=fields.number("repetition_penalty", 0.1, 10.0),
        stop=fields.texts("stop", 0, 32, most=64),
        quotes=_quotes(fields.fields("quotes")) if fields.has("quotes") else None,
    )
    fields.done()
    return out


def _quotes(fields: Fields) -> QuoteMarks:
    out = QuoteMarks(
        fields.text("open", most=_MARK_CHARS, least=1), fields.text("close", most=_MARK_CHARS, least=1)
    )
    fields.done()
    # White space round an answer is cut off, and words must be told from the marks beside them.
    for key, mark, edge in (("open", out.open, out.open[0]), ("close", out.close, out.close[-1])):
        if edge.isspace():
            raise fields.error(key, "has white space on the side that is turned to the rest of the answer")
        if any(letter.isalnum() or letter in "\n\t\ufffd" for letter in mark):
            raise fields.error(key, "holds a letter, a digit, a tab, a line break or U+FFFD")
    return out

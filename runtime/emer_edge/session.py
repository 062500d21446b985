"""A pack, loaded once: its encoders, face detector, fusion and language model. Knows no clip."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from emer_edge.encoders.audio import AudioEncoder
from emer_edge.encoders.base import Encoder, TensorPair, TensorSpec
from emer_edge.encoders.onnx import OnnxEncoder, OnnxNetwork
from emer_edge.encoders.tensorrt import TensorRtEncoder, look, mismatches
from emer_edge.encoders.vision import VisionEncoder
from emer_edge.errors import DeviceError, InputError, PackError
from emer_edge.fusion import open_fusion
from emer_edge.limits import Limits
from emer_edge.llm.context import ClipContext
from emer_edge.llm.gguf import Llm
from emer_edge.llm.labels import Path as TokenPath
from emer_edge.llm.labels import label_tokens
from emer_edge.llm.prompt import PromptPart, PromptTemplate, Text, build_prompt
from emer_edge.llm.quote_index import QuoteIndex
from emer_edge.llm.quotes import QuoteLock
from emer_edge.media import face_detector
from emer_edge.media.face_detector import Detector
from emer_edge.packs.manifest import EncoderFile, EncoderSpec, EngineSpec, Manifest
from emer_edge.packs.records import ALONE_FIELD, LABELS_FIELD
from emer_edge.packs.stamps import cache_folder
from emer_edge.packs.store import find_pack
from emer_edge.packs.verify import open_pack
from emer_edge.results import Modality

DEVICES = ("cpu", "cuda", "tensorrt", "tensorrt-rtx")


class Session:
    """Everything of one pack that is worth keeping between clips. One clip at a time; `lock` says whose turn.

    Args:
        pack: the name of a pack or the path of its folder.
        device: `cpu`, `cuda`, `tensorrt` or `tensorrt-rtx`; nothing else is tried when it can't be had.
        threads: CPU threads of each engine; None takes the cores this process may use, at most 8.
        limits: the ceilings.
        at_once: clips that the language model may hold side by side, for `answer_together`.

    Raises:
        PackError, PackNotFoundError, DeviceError, InputError.
    """

    def __init__(
        self,
        pack: str | Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        limits: Limits | None = None,
        at_once: int = 1,
    ) -> None:
        if device not in DEVICES:
            raise InputError(f"No device is called {device!r}.", todo=f"Use one of {', '.join(DEVICES)}.")
        if threads is not None and (not isinstance(threads, int) or not 1 <= threads <= 256):
            raise InputError(f"{threads!r} threads make no sense.", todo="Use 1 to 256.")
        self.device = device
        self.threads = threads or min(8, len(os.sched_getaffinity(0)))
        self.limits = limits or Limits()
        self._at_once = at_once
        self.lock = threading.RLock()
        self.folder = find_pack(pack)
        self.manifest: Manifest = open_pack(self.folder, self.limits)
        self.context: ClipContext | None = None
        """The clip whose prefix is in the KV cache."""
        self.context_owner: object = None
        self._quote_index: QuoteIndex | None = None
        self._load()

    def _load(self) -> None:
        manifest = self.manifest
        frames = manifest.preprocessing.frames
        self.template = PromptTemplate(
            tuple(PromptPart(part.text, frozenset(part.needs)) for part in manifest.prompt.parts),
            manifest.prompt.markers,
            manifest.prompt.add_bos,
        )
        with ThreadPoolExecutor(4) as pool:  # the engines open their files side by side
            loading: dict[str, Future[Any]] = {
                "vision": pool.submit(self._encoder, "vision"),
                "audio": pool.submit(self._encoder, "audio"),
                "llm": pool.submit(self._llm),
            }
            if frames.source == "faces":
                loading["detector"] = pool.submit(open_detector, self.threads)
        try:
            self.llm: Llm = loading["llm"].result()
            self.vision = VisionEncoder(
                loading["vision"].result(),
                mean=frames.mean,
                std=frames.std,
                channel_order=frames.channel_order,
            )
            self.audio = AudioEncoder(loading["audio"].result())
            self.detector: Detector | None = loading["detector"].result() if "detector" in loading else None
            self.fusion = open_fusion(self.folder, manifest.fusion)
            labels = manifest.labels
            self.label_paths: dict[str, TokenPath] = label_tokens(
                self.llm.tokenize, labels.answer_prefix, labels.joiner, labels.candidates
            )
            self.words_room = self._words_room()
        except BaseException as error:
            # Half a session is none: what did load is given back now, not when a collector comes by.
            for engine in loading.values():
                if engine.exception() is None and hasattr(engine.result(), "close"):
                    engine.result().close()
            loading.clear()
            if isinstance(error, InputError):  # nobody passed that: the pack holds it
                raise PackError(f"The pack {manifest.name} can't be used.", str(error)) from error
            raise

    def _words_room(self) -> int:
        """Tokens of subtitle that fit the context beside the longest prompt, both questions and an answer."""
        manifest, tokenize = self.manifest, self.llm.tokenize
        longest = 0
        told = sorted(manifest.labels.candidates, key=lambda label: -len(tokenize(", " + label)))
        labels = ", ".join(told[: manifest.labels.at_most])
        for question in manifest.prompt.questions.values():
            words = question.replace(LABELS_FIELD, labels).replace(ALONE_FIELD, self._longest_alone(told[0]))
            longest = max(longest, self._prompt_rows({"vision", "audio", "subtitle"}, words))
        answer = len(tokenize(manifest.labels.answer_prefix)) + min(
            manifest.generation.max_new_tokens, self.llm.n_ctx // 4
        )
        return max(0, self.llm.n_ctx - max(2 * longest + answer, self._alone_rows()))

    def _alone_rows(self) -> int:
        """Rows beside the subtitle while each modality is read by itself, with the labels behind one."""
        manifest, labels = self.manifest, self.manifest.labels
        if labels.alone is None:
            return 0
        question = manifest.prompt.questions[labels.question]
        begun = len(self.llm.tokenize(labels.answer_prefix)) + manifest.prompt.add_bos
        prompts = sum(self._prompt_rows({name}, question) + begun for name in labels.alone.names)
        return prompts + sum(len(path) - 1 for path in self.label_paths.values())

    def _prompt_rows(self, present: set[Modality], question: str) -> int:
        prompt = build_prompt(self.template, present, "", question, self.llm.tokenize)
        return sum(
            len(self.llm.tokenize(s.text)) if isinstance(s, Text) else self._rows_of(s.name)
            for s in (*prompt.prefix, *prompt.tail)
        )

    def _longest_alone(self, label: str) -> str:
        rule = self.manifest.labels.alone
        if rule is None:
            return ""
        told = max((label, rule.unsure), key=lambda word: len(self.llm.tokenize(" " + word)))
        return ", ".join(f"{name} {told}" for name in rule.names.values())

    def _rows_of(self, soft: str) -> int:
        """How many rows one kind of soft token takes in a prompt."""
        if self.manifest.fusion.kind != "tokens":
            return 1
        spec: EncoderSpec = getattr(self.manifest.encoders, soft)
        return spec.files[spec.default].output.shape[0]

    def quote_lock(self, subtitle: str) -> QuoteLock | None:
        """What keeps the quotes of one answer to the words of `subtitle`; None where the pack names no marks.

        Args:
            subtitle: as it stands in the prompt; empty where there is none.

        Raises:
            PackError: the vocabulary can't copy every text.
        """
        marks = self.manifest.generation.quotes
        if marks is None:
            return None
        if self._quote_index is None:
            self._quote_index = QuoteIndex(self.llm.pieces(), self.llm.is_end, marks.open, marks.close)
        return QuoteLock(self._quote_index, subtitle)

    def _encoder(self, part: Literal["vision", "audio"]) -> Encoder:
        spec: EncoderSpec = getattr(self.manifest.encoders, part)
        engine = self._engine(part)
        if engine is not None:
            return TensorRtEncoder(
                self.folder / engine.path, engine, tensor_pair(spec.files[engine.precision])
            )
        file: EncoderFile = spec.files[spec.default]
        return OnnxEncoder(
            self.folder / file.path,
            tensor_pair(file),
            device=self.device,
            threads=self.threads,
            engine_cache=_engine_cache(),
        )

    def _engine(self, part: str) -> EngineSpec | None:
        """The pack's engine for this machine; None where ONNX Runtime is to compute, or to build its own."""
        if not self.device.startswith("tensorrt"):
            return None
        library = self.device
        mine = [one for one in self.manifest.engines if (one.encoder, one.library) == (part, library)]
        fits = next((one for one in mine if not mismatches(one, look(library))), None)
        if fits is None and library == "tensorrt-rtx":
            if not mine:
                raise DeviceError(
                    f"The pack {self.manifest.name} has no engine of {library} for {part}.",
                    todo=f"Export it with --{library}, or use another device.",
                )
            return mine[0]  # which says in what it differs
        return fits

    def _llm(self) -> Llm:
        llm = self.manifest.llm
        return Llm(
            self.folder / llm.files[llm.default].path,
            n_ctx=llm.n_ctx,
            threads=self.threads,
            device="cpu" if self.device == "cpu" else "cuda",
            n_seq=max(64, 4 * self._at_once),
            at_once=self._at_once,
        )

    def close(self) -> None:
        """Free the engines; may be called again."""
        with self.lock:
            self.context = self.context_owner = None
            self.llm.close()
            self.vision.close()
            self.audio.close()
            self.detector = None


def open_detector(threads: int) -> Detector:
    """The face detector that comes with the package."""
    # Faces are looked for on the CPU whatever the device: frames are there, and the network is small.
    network = OnnxNetwork(
        face_detector.detector_path(),
        TensorSpec(face_detector.INPUT, "uint8", (None, 3, None, None)),
        [TensorSpec(name, "float32", (None, None, None, None)) for name in face_detector.OUTPUTS],
        threads=threads,
    )
    return network.run


def tensor_pair(file: EncoderFile) -> TensorPair:
    """What goes into a pack's encoder and what comes out, as the encoders want it said."""
    return TensorPair(
        TensorSpec(file.input.name, file.input.dtype, tuple(file.input.shape)),
        TensorSpec(file.output.name, file.output.dtype, tuple(file.output.shape)),
        whole=file.output.shape[0] != file.input.shape[0],
    )


def _engine_cache() -> Path | None:
    """Where built TensorRT engines are kept; None for a user without a home."""
    try:
        return cache_folder() / "engines"
    except RuntimeError:
        return None

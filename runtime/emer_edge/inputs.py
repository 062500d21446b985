"""What one clip brings: its opened media or arrays, its words, and what is missing. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emer_edge._core import CancelToken
from emer_edge.errors import Cancelled, EmerError, InputError, LimitError
from emer_edge.limits import Limits
from emer_edge.media.source import MediaSource, Probe, open_media
from emer_edge.media.subtitles import cues_to_text, find_sidecar, literal_cues, load_subtitle
from emer_edge.results import Clip, Cue

_CHANNELS = 64


@dataclass(slots=True)
class Inputs:
    """One clip, opened but not decoded."""

    name: str
    media: MediaSource | None = None
    probe: Probe | None = None
    clip: Clip | None = None
    cues: tuple[Cue, ...] = ()
    subtitle: str = ""
    subtitle_source: str = ""
    missing: list[str] = field(default_factory=list)

    @property
    def has_video(self) -> bool:
        """Whether there are pictures to look at."""
        if self.clip is not None:
            return self.clip.frames is not None
        return self.probe is not None and self.probe.video is not None

    @property
    def has_audio(self) -> bool:
        """Whether there is sound to listen to."""
        if self.clip is not None:
            return self.clip.waveform is not None
        return self.probe is not None and self.probe.audio is not None

    @property
    def duration_seconds(self) -> float:
        """The longest of what is known; 0 when nothing is."""
        if self.probe is not None:
            return self.probe.duration_seconds
        if self.clip is not None and self.clip.waveform is not None:
            return int(self.clip.waveform.shape[-1]) / self.clip.sample_rate
        return 0.0


def open_inputs(
    source: str | Path | Clip,
    subtitle: str | Path | None,
    limits: Limits,
    decoder: str = "auto",
    cancel: CancelToken | None = None,
) -> Inputs:
    """Open a clip and find its words.

    Args:
        source: a media file, or arrays.
        subtitle: a subtitle file or the words themselves; None looks beside and inside the clip; "" is none.
        limits: the ceilings.
        decoder: `auto`, `native` or `pyav`.
        cancel: stops the search for embedded subtitles.

    Raises:
        InputError, MediaError, SubtitleError, LimitError.
    """
    if isinstance(source, Clip):
        inputs = Inputs(source.name, clip=source)
        _check_arrays(source, limits)
    elif isinstance(source, str | Path):
        if decoder not in ("auto", "native", "pyav"):
            raise InputError(f"No decoder is called {decoder!r}.", todo="Use auto, native or pyav.")
        media = open_media(source, limits, backend=decoder)  # type: ignore[arg-type]
        inputs = Inputs(str(source), media=media, probe=media.probe())
    else:
        raise InputError(
            f"Can't infer from a {type(source).__name__}.", todo="Pass a path or an emer_edge.Clip."
        )
    _find_words(inputs, subtitle, limits, cancel)
    if not inputs.has_video:
        inputs.missing.append("no video stream" if inputs.media else "no frames")
    if not inputs.has_audio:
        inputs.missing.append("no audio stream" if inputs.media else "no waveform")
    if not inputs.subtitle:
        inputs.missing.append("no subtitle")
    return inputs


def _find_words(
    inputs: Inputs, subtitle: str | Path | None, limits: Limits, cancel: CancelToken | None
) -> None:
    """Fill cues and subtitle: what was passed, else beside the clip, else inside it."""
    if subtitle is None and inputs.clip is not None:
        inputs.cues = tuple(literal_cues(inputs.clip.subtitle or "", limits))
        inputs.subtitle_source = "array"
    elif subtitle is not None:
        inputs.cues = tuple(load_subtitle(subtitle, limits)) if str(subtitle).strip() else ()
        inputs.subtitle_source = "flag"
    elif inputs.media is not None and inputs.probe is not None:
        sidecar = find_sidecar(inputs.media.path)
        embedded = next((stream for stream in inputs.probe.subtitles if stream.is_text), None)
        found = f"sidecar:{sidecar.name}" if sidecar else f"embedded:{embedded.index}" if embedded else ""
        try:
            if sidecar is not None:
                inputs.cues = tuple(load_subtitle(sidecar, limits))
            elif embedded is not None:
                inputs.cues = tuple(inputs.media.embedded_cues(cancel))
            inputs.subtitle_source = found
        except Cancelled:
            raise
        except EmerError as error:  # nobody asked for this subtitle by name: the clip is worth more
            inputs.missing.append(f"the subtitle {found} can't be read: {error.what}")
    words = cues_to_text(inputs.cues)
    if len(words) > limits.subtitle_prompt_chars:
        words = shorten(words, limits.subtitle_prompt_chars)
        inputs.missing.append(f"the subtitle was cut to {len(words)} characters")
    inputs.subtitle = words
    if not words:
        inputs.cues, inputs.subtitle_source = (), ""


def shorten(words: str, length: int) -> str:
    """The beginning of `words`, at most `length` characters, whole words where a space is near the cut."""
    if len(words) <= length:
        return words
    space = words.rfind(" ", 0, length + 1)
    return words[:space] if space > 0.8 * length else words[:length]


def _check_arrays(clip: Clip, limits: Limits) -> None:
    """Refuse arrays of the wrong shape, type or size before anything is computed from them."""
    frames, waveform = clip.frames, clip.waveform
    if clip.subtitle is not None and not isinstance(clip.subtitle, str):
        raise InputError("Clip.subtitle is not text.", todo="Pass the words, or leave it out.")
    if isinstance(clip.sample_rate, bool) or not isinstance(clip.sample_rate, int):
        raise InputError(f"Clip.sample_rate = {clip.sample_rate!r} is not a whole number.")
    if frames is None and waveform is None and not clip.subtitle:
        raise InputError("The clip is empty.", todo="Pass frames, a waveform or a subtitle.")
    if frames is not None:
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4:
            raise InputError("Clip.frames is not uint8 (N, H, W, 3).", todo="Pass RGB frames as uint8.")
        if frames.shape[3] != 3 or 0 in frames.shape:
            raise InputError(
                f"Clip.frames has the shape {frames.shape}.", todo="Pass (N, H, W, 3), none of them 0."
            )
        if frames.shape[1] * frames.shape[2] > limits.pixels:
            raise LimitError(
                "A frame is too large.", f"{frames.shape[2]}x{frames.shape[1]} > {limits.pixels} pixels."
            )
    if waveform is not None:
        if not isinstance(waveform, np.ndarray) or waveform.ndim not in (1, 2) or 0 in waveform.shape:
            raise InputError(
                "Clip.waveform is not (n,) or (channels, n).", todo="Pass float32 or int16 samples."
            )
        if waveform.dtype not in (np.float32, np.float64, np.int16):
            raise InputError(
                f"Clip.waveform has the type {waveform.dtype}.", todo="Pass float32 or int16 samples."
            )
        if waveform.ndim == 2 and len(waveform) > _CHANNELS:
            raise InputError(
                f"Clip.waveform has the shape {waveform.shape}: {len(waveform)} channels.",
                todo="Pass (channels, n): transpose it.",
            )
        if not 1_000 <= clip.sample_rate <= 768_000:
            raise InputError(f"A sample rate of {clip.sample_rate} Hz makes no sense.")
        if waveform.shape[-1] / clip.sample_rate > limits.audio_seconds:
            raise LimitError("The waveform is too long.", f"More than {limits.audio_seconds:g} s.")

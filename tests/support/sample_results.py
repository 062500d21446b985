"""Results of several shapes, made by hand."""

from __future__ import annotations

from emer_edge.results import Clue, Cue, Emotion, Reasoning, Timings, Used

FULL = Reasoning(
    clip="clips/happy.mp4",
    question="explain",
    text="She smiles broadly. Her voice is bright, and she says that she is glad! Nothing speaks against it.",
    emotions=(Emotion("happy", 0.6213, "both"), Emotion("relieved", 0.21), Emotion("amused", None, "text")),
    clues=(Clue("face", "She smiles broadly."), Clue("voice", "Her voice is bright.")),
    used=Used(("vision", "audio", "subtitle"), 8, 8, 3.5, 8, "I am glad.", "sidecar:happy.srt", (), "native"),
    timings=Timings(decode_video=0.1, total=0.9, prompt_tokens=80, new_tokens=25),
    scores={"happy": 0.6213, "relieved": 0.21, "neutral": 0.1687},
    cues=(Cue(0.0, 3.0, "I am glad."),),
    duration_seconds=3.5,
    pack="emer-nano",
    pack_version="0.1.0",
    device="cpu",
)
LABELS_ONLY = Reasoning(
    clip="array",
    question="labels",
    text="",
    emotions=(Emotion("sad", 1.0),),
    clues=(),
    used=Used(("audio",), missing=("no video stream",), subtitle_source=""),
    timings=Timings(),
    scores={"sad": 1.0},
    finish="labels_only",
)
BARE = Reasoning("c", "Why?", "", (), (), Used(()), Timings())
HOSTILE = Reasoning(
    clip="a\udcff\n.mp4",
    question="explain",
    text="1\n\n00:00:01,000 --> 00:00:02,000\r\n<b>&amp;</b> {\\an8}\\N \x00\u2028 NOTE. 怒っている。本当？",
    emotions=(Emotion("怒り", 0.999999),),
    clues=(),
    used=Used(("subtitle",), subtitle="words", subtitle_source="embedded:2"),
    timings=Timings(),
    duration_seconds=0.001,
    finish="length",
)
ALL = {"full": FULL, "labels_only": LABELS_ONLY, "bare": BARE, "hostile": HOSTILE}

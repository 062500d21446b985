"""The traps of AffectGPT's published code, each with a test that fails if an exported pack falls into it.

Traps 10 and 11 are those of AffectGPT 2023 (ImageBind's extra key and value; EVA's 39 blocks without a bias
of the keys or a last norm): test_emer_graphs.py and test_emer.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import emer_edge as ee  # noqa: E402
from emer_edge.encoders.vision import VisionEncoder  # noqa: E402
from emer_edge.fusion import Fusion  # noqa: E402
from emer_edge.inputs import open_inputs  # noqa: E402
from emer_edge.limits import Limits  # noqa: E402
from emer_edge.llm.generate import TextStream  # noqa: E402
from emer_edge.media.audio import AudioWindows, cut_windows  # noqa: E402
from emer_edge.packs.manifest import Manifest  # noqa: E402
from emer_edge.senses import _frames  # noqa: E402
from emer_export.encoders import open_encoder  # noqa: E402
from emer_export.families import load_family  # noqa: E402
from emer_export.manifests import Wish, build_manifest, check_manifest  # noqa: E402
from emer_export.sources import Sources, find_paths, open_sources  # noqa: E402

_HEAD = "###Human: The audio and video merged info is: <Multi><MultiHere></Multi>. "
_SOUND = "The audio content is as follows: <Audio><AudioHere></Audio>. "
_FACES = (
    "Meanwhile, we uniformly sample raw frames from the video and extract faces from these frames: "
    "<Video><FaceHere></Video>. "
)
_FRAMES = "Meanwhile, we uniformly sample raw frames from the video: <Video><FrameHere></Video>. "
_WORDS = "The subtitle of this video is: <Subtitle>{subtitle}</Subtitle>. "
_ASK = "Now, please answer my question based on all the provided information. {question} ###Assistant: "


@pytest.fixture(scope="module")
def sources(light_mer: Path) -> Sources:
    family = load_family("light-mer")
    return open_sources(family, find_paths(family, light_mer / "checkpoint.pth", light_mer, {}))


@pytest.fixture(scope="module")
def manifest(sources: Sources) -> Manifest:
    return _manifest(sources)


def _manifest(sources: Sources, **more: Any) -> Manifest:
    return check_manifest(build_manifest(sources, Wish("tiny", ("fp32",), ("F32",), **more)))


def _text(manifest: Manifest, present: set[str]) -> str:
    return "".join(part.text for part in manifest.prompt.parts if set(part.needs) <= present)


def _spec(manifest: Manifest) -> AudioWindows:
    rule = manifest.preprocessing.audio
    return AudioWindows(
        rule.windows, rule.window_seconds, rule.sample_rate, rule.center, rule.normalise, rule.epsilon
    )


def test_1_pooling_and_mixture_have_no_softmax(sources: Sources) -> None:
    fusion = Fusion(sources.fusion.kind, sources.fusion.state)
    random = np.random.default_rng(0)
    vision = random.standard_normal((8, fusion.vision_dim)).astype(np.float32)
    audio = random.standard_normal((8, fusion.audio_dim)).astype(np.float32)
    soft = fusion.fuse(vision, audio)
    state = {name: value.astype(np.float64) for name, value in sources.fusion.state.items()}

    def linear(name: str, x: Any) -> Any:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def softmax(x: Any, axis: int) -> Any:
        return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)

    scores = linear("video_attention_mlp", vision)
    np.testing.assert_allclose(
        soft["vision"][0], linear("affectgpt_proj", (scores * vision).sum(0)), rtol=1e-4, atol=1e-4
    )
    trapped = linear("affectgpt_proj", (softmax(scores, 0) * vision).sum(0))
    assert np.linalg.norm(soft["vision"][0] - trapped) > 0.1 * np.linalg.norm(trapped)
    v, a = linear("multi_video_embs", vision.mean(0)), linear("multi_audio_embs", audio.mean(0))
    gates = linear("fc_att", linear("attention_mlp", np.concatenate([v, a])))
    mixed = linear("multi_llama_proj", gates[0] * v + gates[1] * a)
    np.testing.assert_allclose(soft["multi"][0], mixed, rtol=1e-4, atol=1e-4)
    gates = softmax(gates, 0)
    trapped = linear("multi_llama_proj", gates[0] * v + gates[1] * a)
    assert np.linalg.norm(soft["multi"][0] - trapped) > 0.1 * np.linalg.norm(trapped)


def test_2_windows_are_normalised_jointly_as_one_item(manifest: Manifest) -> None:
    sound = np.random.default_rng(1).standard_normal(16_000 * 20).astype(np.float32)
    sound *= np.linspace(0.01, 0.5, len(sound), dtype=np.float32)  # windows of different loudness
    windows = cut_windows(sound, _spec(manifest))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    raw = cut_windows(sound, AudioWindows(center="window_inplace"))
    # Upstream hands the [8, 32000] tensor over as one item and takes input_values[0] as the batch.
    expected = extractor(torch.from_numpy(raw), sampling_rate=16_000, return_tensors="np").input_values[0]
    np.testing.assert_allclose(windows, expected, atol=1e-4)
    levels = windows.std(axis=1)
    assert levels.max() > 3 * levels.min(), "each window alone would have unit variance"


def test_3_the_mean_goes_in_place_so_that_overlapping_windows_meet(manifest: Manifest) -> None:
    sound = np.random.default_rng(2).standard_normal(16_000 * 5).astype(np.float32) + 0.5
    mutated, expected = torch.from_numpy(sound.copy()), []
    for i in range(8):
        start = int(i * 3.0 / 8 * 16_000)
        clip = mutated[start : start + 32_000]
        clip -= clip.mean()
        expected.append(clip)
    rule = manifest.preprocessing.audio
    assert (rule.center, rule.windows, rule.window_seconds) == ("window_inplace", 8, 2.0)
    found = cut_windows(sound, AudioWindows(center="window_inplace"))
    apart = cut_windows(sound, AudioWindows(center="window"))
    np.testing.assert_allclose(found[-1], expected[-1].numpy(), atol=1e-5)
    assert np.abs(found - apart).max() > 0.01


def test_4_frames_are_stretched_and_the_last_one_is_never_seen(sources: Sources) -> None:
    rule = _manifest(sources, look="frames").preprocessing.frames
    frames = np.zeros((16, 60, 120, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[:, 60:] = 10 * index  # the right half tells the index, the left half is black
    batch = _frames(open_inputs(ee.Clip(frames=frames), "", Limits()), rule, None)
    levels = (batch.pixels * np.array(rule.std)[:, None, None] + np.array(rule.mean)[:, None, None]) * 255
    side = rule.width
    told = [round(float(level[0, side // 2, -2]) / 10) for level in levels]
    assert told == [0, 2, 4, 6, 8, 10, 12, 14]
    # Stretched: black stays the left half. A crop from the middle would keep it too, a fit would add bars.
    assert levels[-1][0, :, : side // 2 - 3].max() < 2
    assert levels[-1][0, 2, -2] == pytest.approx(140, abs=2)
    assert (rule.rule, rule.resize) == ("uniform_index", "stretch")


def test_5_face_crops_go_in_as_bgr(sources: Sources) -> None:
    faces = _manifest(sources, look="faces").preprocessing.frames
    assert (faces.source, faces.channel_order) == ("faces", "bgr")
    assert _manifest(sources, look="frames").preprocessing.frames.channel_order == "rgb"
    assert _manifest(sources, look="faces", channel_order="rgb").preprocessing.frames.channel_order == "rgb"

    class Kept:
        provider, input_shape, output_dim = "none", (1, 3, 2, 2), 1
        batch: Any = None

        def encode(self, batch: Any, cancel: Any = None) -> Any:
            self.batch = batch
            return np.zeros((1, 1), np.float32)

        def close(self) -> None:
            pass

    kept = Kept()
    encoder = VisionEncoder(kept, mean=faces.mean, std=faces.std, channel_order=faces.channel_order)
    red = np.zeros((1, 3, 2, 2), np.uint8)
    red[:, 0] = 255
    encoder.encode(red)
    brightest = (kept.batch[0].mean((1, 2)) * np.array(faces.std) + np.array(faces.mean)).argmax()
    assert brightest == 2, "red stands where the network was shown blue"


@pytest.mark.parametrize(("look", "sentence"), [("faces", _FACES), ("frames", _FRAMES)])
def test_6_the_prompt_is_byte_for_byte_and_begins_with_nothing(
    sources: Sources, look: str, sentence: str
) -> None:
    manifest = _manifest(sources, look=look)
    everything = {"vision", "audio", "subtitle"}
    assert _text(manifest, everything) == _HEAD + _SOUND + sentence + _WORDS + _ASK
    assert _text(manifest, {"audio", "subtitle"}) == _SOUND + _WORDS + _ASK, "audio_text"
    assert _text(manifest, {"vision", "subtitle"}) == sentence + _WORDS + _ASK, "face_text, frame_text"
    assert manifest.prompt.add_bos is False
    assert set(manifest.prompt.questions) == {"labels", "explain", "sentiment"}


def test_7_no_chat_template_and_a_stop_on_text(manifest: Manifest) -> None:
    said = _text(manifest, {"vision", "audio", "subtitle"}) + "".join(manifest.prompt.questions.values())
    assert not re.search(r"<\|im_|<think>|</think>|/no_think", said)
    assert manifest.generation.stop == ("###",)
    # Qwen3 joins the sharps with what stands before them; the text shows them all the same.
    for pieces in (
        [b" calm", b".###"],
        [b" calm.", b" ###"],
        [b" calm.", b"##", b"#"],
        [b" calm", b".#", b"##x"],
    ):
        stream = TextStream(manifest.generation.stop)
        text = "".join(stream.feed(piece) for piece in pieces)
        assert text.strip() == "calm."


def test_8_the_adapter_counts_twice(sources: Sources, light_mer: Path) -> None:
    from emer_export.checkpoints import open_checkpoint

    name = "model.layers.1.mlp.down_proj"
    base = open_checkpoint(light_mer / "Qwen3-0.6B").tensor(f"{name}.weight").float()
    trained = open_checkpoint(light_mer / "checkpoint.pth")
    stem = f"llama_model.base_model.model.{name}"
    down, up = (trained.tensor(f"{stem}.lora_{half}.default.weight").float() for half in "AB")
    assert down.shape[0] == 16
    merged = sources.llm.checkpoint.tensor(f"{name}.weight")
    torch.testing.assert_close(merged, base + 2.0 * up @ down, rtol=1e-5, atol=1e-6)
    assert (merged - base - up @ down).norm() > 0.1 * (up @ down).norm()


def test_9_what_a_clip_never_uses_is_not_in_the_pack(sources: Sources, light_mer: Path) -> None:
    from emer_export.checkpoints import open_checkpoint

    assert "image_llama_proj.weight" in open_checkpoint(light_mer / "checkpoint.pth")
    assert not [name for name in sources.fusion.state if name.startswith("image")]
    whole = open_checkpoint(light_mer / "clip-vit-base-patch16")
    assert [name for name in whole.names() if name.startswith("text_model.")]
    kept = sources.vision.checkpoint.names()
    assert not [name for name in kept if "text" in name or "logit_scale" in name]


def test_9b_a_name_that_nobody_knows_is_not_dropped_in_silence(light_mer: Path) -> None:
    from emer_edge.errors import PackError
    from emer_export.checkpoints import open_checkpoint, read_json
    from emer_export.weights import Arrays

    folder = light_mer / "clip-vit-base-patch16"
    state = {**open_checkpoint(folder), "vision_model.adapter.weight": torch.zeros(2)}
    with pytest.raises(PackError, match="is not ClipVision") as caught:
        open_encoder("clip", read_json(folder / "config.json"), Arrays(state, "changed"), 32_000)
    assert "unknown: vision_model.adapter.weight" in caught.value.why


def test_12_labels_are_scored_where_the_trained_answer_has_them(manifest: Manifest) -> None:
    # "The character's emotional state is a, b, c." right after the prompt, whose last character is a space.
    rule = manifest.labels
    assert _text(manifest, set()).endswith("###Assistant: ")
    assert rule.answer_prefix + rule.joiner + "happy" == "The character's emotional state is happy"
    stream = TextStream(manifest.generation.stop)
    text = "".join(stream.feed(piece) for piece in (b"The character's emotional state is happy.", b"###"))
    assert text == "The character's emotional state is happy."


def test_13_without_a_subtitle_its_sentence_is_left_out(manifest: Manifest) -> None:
    assert "Subtitle" not in _text(manifest, {"vision", "audio"})

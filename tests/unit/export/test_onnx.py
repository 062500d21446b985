from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from emer_edge.errors import InputError  # noqa: E402
from emer_export.graphs.nano import (  # noqa: E402
    AUDIO_DIM,
    AUDIO_EVIDENCE,
    EMBEDDING_DIM,
    Audio,
    ConvNorm,
    FaceEncoder,
    Vision,
    VoiceEncoder,
    VoiceFrontEnd,
    folded,
)
from emer_export.onnx import compare, export_onnx  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def _face() -> torch.nn.Module:
    torch.manual_seed(0)
    return FaceEncoder().eval()


def _voice() -> torch.nn.Module:
    torch.manual_seed(0)
    return VoiceEncoder().eval()


@pytest.mark.parametrize(
    ("make", "shape", "name", "scale"),
    [(_face, (8, 3, 48, 48), "frames", 0.5), (_voice, (8, 32000), "windows", 0.05)],
)
def test_export_is_one_file_that_agrees_with_torch(make, shape, name, scale, tmp_path: Path) -> None:
    module, path = folded(make()), tmp_path / "encoder.onnx"
    export_onnx(module, torch.zeros(shape), path, name, "embeddings")
    assert [p.name for p in tmp_path.iterdir()] == ["encoder.onnx"]
    model = onnx.load(str(path), load_external_data=False)
    assert model.graph.input[0].name == name
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == list(shape)
    assert model.graph.output[0].name == "embeddings"
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [8, EMBEDDING_DIM]
    assert model.opset_import[0].version >= 17
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert b"/emer_export/" not in path.read_bytes()
    parity = compare(module, path, [torch.randn(shape) * scale for _ in range(2)] + [torch.zeros(shape)])
    assert parity.max_abs_error <= 1e-4
    assert parity.cosine > 0.9999


def test_a_face_and_its_mirror_image_are_one() -> None:
    torch.manual_seed(0)
    module, frames = Vision().eval(), torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        assert torch.allclose(module(frames), module(frames.flip(3)), atol=1e-5)
        assert not torch.allclose(module(frames), module(frames.flip(2)), atol=1e-2)


def test_the_evidence_of_a_voice_is_the_mean_of_its_networks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, sound = Audio(2).eval(), torch.randn(8, 32000) * 0.05
    with torch.inference_mode():
        found = module(sound)
        features = [encoder(sound) for encoder in module.encoders]
        shares = sum(head(f).softmax(1) for head, f in zip(module.heads, features, strict=True)) / 2
    assert found.shape == (8, AUDIO_DIM)
    assert torch.allclose(torch.exp((found[:, AUDIO_EVIDENCE] - 1) * 2), shares, atol=1e-5)
    export_onnx(folded(module), sound, tmp_path / "audio.onnx", "windows", "embeddings")
    parity = compare(folded(module), tmp_path / "audio.onnx", [sound, torch.zeros_like(sound)])
    assert parity.max_abs_error <= 1e-3
    assert parity.cosine > 0.9999


def test_export_refuses_an_opset_without_layer_norm(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="opset 16"):
        export_onnx(_face(), torch.zeros(8, 3, 48, 48), tmp_path / "x.onnx", "frames", "embeddings", opset=16)
    assert not list(tmp_path.iterdir())


def test_folding_changes_no_embedding() -> None:
    module = FaceEncoder()
    module(torch.randn(8, 3, 48, 48))  # moves the running statistics off their start
    module.eval()
    frames = torch.randn(8, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(folded(module)(frames), module(frames), atol=1e-4, rtol=1e-4)
    assert all(
        isinstance(p.norm, torch.nn.Identity) for p in folded(module).modules() if isinstance(p, ConvNorm)
    )


def test_front_end_keeps_level_apart_from_bands() -> None:
    front = VoiceFrontEnd()
    sound = torch.randn(1, 32000) * 0.1
    bands, extra, level = front(sound)
    quiet_bands, quiet_extra, quiet_level = front(sound * 0.1)
    # The floor of -100 dBFS shows in the weakest cells.
    torch.testing.assert_close(quiet_bands, bands, atol=3e-2, rtol=0)
    torch.testing.assert_close(quiet_extra, extra, atol=1e-2, rtol=0)
    # Levels are in units of 20 dB; white noise of deviation 0.1 has -20 dBFS.
    assert float(level - quiet_level) == pytest.approx(1.0, abs=0.01)
    assert float(level) * 20 - 40 == pytest.approx(-20.0, abs=0.5)


def test_pitch_profile_peaks_at_the_pitch() -> None:
    seconds = torch.arange(32000) / 16000
    pitches = 65.0 * 2 ** torch.linspace(0, 3, 48)
    for hertz in (120.0, 220.0, 330.0):
        sound = sum(torch.sin(2 * torch.pi * hertz * k * seconds) / k for k in range(1, 9)) * 0.1
        _, extra, _ = VoiceFrontEnd()(sound[None])
        peak = float(pitches[int(extra[0, :48].mean(1).argmax())])
        # The period and its multiples are alike; the front end leaves that choice to the network.
        assert min(abs(peak * k / hertz - 1) for k in (1, 2, 3)) < 0.05


def test_embeddings_tell_silence_from_sound_without_nan() -> None:
    encoder = _voice()
    with torch.inference_mode():
        silence, sound = encoder(torch.zeros(8, 32000)), encoder(torch.randn(8, 32000) * 0.1)
    assert torch.isfinite(silence).all()
    assert not torch.allclose(silence, sound, atol=1e-2)

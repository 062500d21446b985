"""The towers of AffectGPT 2023 against other people's implementations of the same parts."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from emer_export.graphs.emer_towers import EmerAudio, EmerVision  # noqa: E402
from emer_export.graphs.eva_vit import EvaSizes, EvaVit  # noqa: E402
from emer_export.graphs.imagebind_audio import ImageBindAudio, ImageBindSizes  # noqa: E402
from emer_export.graphs.kaldi_fbank import DEVIATION, MEAN, KaldiFbank  # noqa: E402
from emer_export.graphs.qformer import QFormer, QFormerSizes  # noqa: E402

EVA = EvaSizes(width=24, depth=3, heads=3, inner=40, patch=4, tokens=17)
IMAGE = QFormerSizes(width=16, layers=4, heads=2, inner=32, reads=24, cross_every=2)
VIDEO = QFormerSizes(width=16, layers=2, heads=2, inner=32, reads=16, cross_every=1)
SOUND = ImageBindSizes(width=12, depth=2, heads=2, inner=24, tokens=229, output=20)


def shaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random numbers everywhere: nothing may be right because it is zero."""
    random = torch.Generator().manual_seed(seed)
    for value in module.parameters():
        value.data = torch.randn(value.shape, generator=random) * 0.3 + (0.8 if value.ndim == 1 else 0)
    return module.eval()


@torch.no_grad()
def test_the_qformer_is_that_of_blip2() -> None:
    config = transformers.Blip2QFormerConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        encoder_hidden_size=24,
        cross_attention_frequency=2,
        attn_implementation="eager",
    )
    other = transformers.Blip2QFormerModel(config).eval()
    ours = shaken(QFormer(IMAGE))
    state = {}
    for name, value in ours.state_dict().items():
        name = name.removeprefix("bert.").replace("attention.self.", "attention.attention.")
        state[name.replace("embeddings.LayerNorm", "layernorm")] = value
    missing, unexpected = other.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(".intermediate." in name or ".output." in name or "position" in name for name in missing)
    queries, read = torch.randn(3, 5, 16), torch.randn(3, 7, 24)
    wanted = other(query_embeds=queries, encoder_hidden_states=read).last_hidden_state
    torch.testing.assert_close(ours(queries, read), wanted, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_eva_is_that_of_blip2_without_its_last_norm() -> None:
    config = transformers.Blip2VisionConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=3,
        image_size=16,
        patch_size=4,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        attn_implementation="eager",
    )
    other = transformers.Blip2VisionModel(config).eval()
    ours = shaken(EvaVit(EVA))
    names = {"norm1": "layer_norm1", "norm2": "layer_norm2", "attn.proj": "self_attn.projection"}
    names |= {"attn.qkv": "self_attn.qkv", "cls_token": "embeddings.class_embedding"}
    names |= {"pos_embed": "embeddings.position_embedding", "blocks.": "encoder.layers."}
    names |= {"patch_embed.proj": "embeddings.patch_embedding"}
    state = {}
    for name, value in ours.state_dict().items():
        for old, new in names.items():
            name = name.replace(old, new)
        state[name] = value
    for layer in range(3):
        q, v = (state.pop(f"encoder.layers.{layer}.attn.{part}_bias") for part in "qv")
        state[f"encoder.layers.{layer}.self_attn.qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
    norm = shaken(torch.nn.LayerNorm(24), 3)
    state |= {f"post_layernorm.{name}": value for name, value in norm.state_dict().items()}
    other.load_state_dict(state, strict=True)
    frames = torch.randn(2, 3, 16, 16)
    norm.eps = 1e-6
    torch.testing.assert_close(norm(ours(frames)), other(frames).last_hidden_state, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_imagebind_has_one_more_key_and_value() -> None:
    ours = shaken(ImageBindAudio(SOUND))
    attention = ours.modality_trunks["audio"]["blocks"][1].attn
    other = torch.nn.MultiheadAttention(12, 2, bias=True, add_bias_kv=True, batch_first=True).eval()
    other.load_state_dict(attention.state_dict(), strict=True)
    x = torch.randn(2, 9, 12)
    wanted = other(x, x, x, need_weights=False)[0]
    torch.testing.assert_close(attention(x), wanted, atol=1e-5, rtol=1e-5)
    spectra = torch.randn(2, 1, 128, 204)
    lengths = ours(spectra).norm(dim=-1)
    scale = float(ours.modality_postprocessors["audio"]["1"].log_logit_scale.exp())
    torch.testing.assert_close(lengths, torch.full((2,), scale))
    ours.modality_postprocessors["audio"]["1"].log_logit_scale.data.fill_(9.0)
    torch.testing.assert_close(ours(spectra).norm(dim=-1), torch.full((2,), 100.0))


def test_the_spectrum_is_kaldis() -> None:
    """Step by step as Kaldi's feature-window.cc, feature-fbank.cc and mel-computations.cc do it."""
    wave = np.random.default_rng(3).standard_normal(32_000) * 0.1
    wave += 0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000) + 0.05
    wave = wave.astype(np.float32)
    wanted = np.zeros((128, 204))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    lines = np.arange(257) * 16_000 / 512
    mel = 1127 * np.log(1 + lines / 700)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 130)
    for number in range(198):
        frame = wave[number * 160 : number * 160 + 400].astype(np.float64)
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
        for band in range(128):
            left, middle, right = edges[band : band + 3]
            inside = (mel > left) & (mel < right)
            inside[256] = False
            slope = np.where(mel <= middle, (mel - left) / (middle - left), (right - mel) / (right - middle))
            wanted[band, number] = np.log(max((power * slope * inside).sum(), np.finfo(np.float32).eps))
    found = KaldiFbank()(torch.from_numpy(wave)[None])
    assert found.shape == (1, 1, 128, 204)
    np.testing.assert_allclose(found[0, 0].numpy() * DEVIATION + MEAN, wanted, atol=2e-3)
    assert float(found[0, 0, 5, 203]) == pytest.approx(-MEAN / DEVIATION), "padding comes before scaling"


@torch.no_grad()
def test_towers_give_soft_tokens_and_know_the_order_in_time() -> None:
    sight = shaken(EmerVision(EVA, IMAGE, VIDEO, (6, 5, 32), 10))
    frames = torch.randn(8, 3, 16, 16)
    assert sight(frames).shape == (5, 10)
    assert not torch.allclose(sight(frames), sight(frames.flip(0)), atol=1e-3)
    former = QFormerSizes(width=16, layers=2, heads=2, inner=32, reads=20, cross_every=1)
    hearing = shaken(EmerAudio(SOUND, former, 4, 8, 10))
    windows = torch.randn(8, 32_000) * 0.1
    assert hearing(windows).shape == (4, 10)
    assert not torch.allclose(hearing(windows), hearing(windows.flip(0)), atol=1e-3)

"""The reference way on small weights: the same arithmetic as the exporter's graphs and the runtime."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from benchmarks.reference import LABELS_BEGIN, Models, Reference, cut_sound, merge_lora  # noqa: E402
from emer_edge.media.audio import AudioWindows, cut_windows  # noqa: E402

PICTURE = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    from tests.data.make_published import write_published

    return Reference(Models(write_published(tmp_path_factory.mktemp("models"))), "float32", False, 1)


@pytest.fixture(scope="module")
def soft(model: Reference) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(3)
    pictures = random.standard_normal((8, 3, PICTURE, PICTURE)).astype(np.float32)
    windows = random.standard_normal((8, 4_000)).astype(np.float32)
    return model.fuse(*model.embed(pictures, windows))


@pytest.mark.parametrize("seconds", [0.7, 2.0, 5.3, 31.0])
def test_sound_is_cut_as_the_runtime_cuts_it(seconds: float) -> None:
    sound = np.random.default_rng(1).standard_normal(int(seconds * 16_000)).astype(np.float32)
    expected = cut_windows(sound, AudioWindows(center="window_inplace", normalise="joint"))
    np.testing.assert_allclose(cut_sound(sound), expected, atol=2e-5)


def test_the_fusion_is_the_exporters(model: Reference) -> None:
    from emer_export.graphs.fusion import FusionHead

    random = torch.Generator().manual_seed(2)
    seen, heard = torch.randn(8, 24, generator=random), torch.randn(8, 16, generator=random)
    head = FusionHead("attention", 24, 16, 64)
    names = set(head.state_dict())
    head.load_state_dict({name: value for name, value in model.fusion.items() if name in names})
    found = model.fuse(seen, heard)
    with torch.inference_mode():
        expected = {
            "multi": head.multi(seen[None], heard[None])[0],
            "audio": head.audio(heard[None])[0],
            "vision": head.vision(seen[None])[0],
        }
    for name, row in expected.items():
        torch.testing.assert_close(found[name], row)


def test_soft_tokens_lie_where_the_markers_stand(model: Reference, soft: dict[str, torch.Tensor]) -> None:
    rows = model.rows(soft, "I am glad.", "explain")[0]
    for row in soft.values():
        assert int((rows == row).all(1).sum()) == 1
    longer = model.rows(soft, "I am glad.", "labels", LABELS_BEGIN)
    assert longer.shape[1] > len(rows) - 20
    assert model.rows(soft, "I am so very glad about it.", "explain").shape[1] > len(rows)


def test_it_writes_as_many_tokens_as_asked_and_the_first_is_the_likeliest(
    model: Reference, soft: dict[str, torch.Tensor]
) -> None:
    rows = model.rows(soft, "I am glad.", "explain")
    ids, first = model.generate(rows, 5)
    assert len(ids) == 5
    assert first > 0
    assert ids[0] == int(model.first_logits(rows).argmax())


def test_adapters_are_merged_with_their_scale() -> None:
    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q_proj = torch.nn.Linear(3, 2, bias=False)
            torch.nn.init.zeros_(self.q_proj.weight)

    llm, name = Plain(), "llama_model.base_model.model.q_proj"
    down, up = torch.ones(16, 3), torch.ones(2, 16)
    state = {f"{name}.lora_A.default.weight": down, f"{name}.lora_B.default.weight": up}
    assert merge_lora(llm, state) == 1
    assert torch.equal(llm.q_proj.weight, torch.full((2, 3), 2.0 * 16))

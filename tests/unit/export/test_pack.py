"""A pack is written whole: every file hashed, the manifest last, the older pack replaced."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from emer_edge.errors import PackError
from emer_export.graphs.fusion import FusionHead
from emer_export.pack import FUSION_TENSORS, write_fusion, write_pack

_MANIFEST = {
    "name": "tiny",
    "licence": {"id": "CC0-1.0", "file": "LICENSE"},
    "encoders": {"vision": {"files": {"fp32": {"path": "vision.onnx"}}}},
    "fusion": {"path": "fusion.safetensors"},
}


def test_files_are_described_in_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"onnx")
    files: dict[str, Path | str] = {
        "vision.onnx": tmp_path / "v",
        "fusion.safetensors": tmp_path / "v",
        "LICENSE": "free",
    }
    folder = write_pack(tmp_path / "tiny", _MANIFEST, files)
    rows = {row["path"]: row for row in json.loads((folder / "manifest.json").read_text())["files"]}
    assert rows.keys() == files.keys(), "the manifest does not describe itself"
    assert rows["LICENSE"] == {
        "path": "LICENSE",
        "size_bytes": 4,
        "sha256": hashlib.sha256(b"free").hexdigest(),
    }


def test_an_older_pack_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "old").write_text("old")
    write_pack(folder, {"name": "tiny"}, {"a/b": "new"})
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "a/b",
        "manifest.json",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="not given"):
        write_pack(tmp_path / "tiny", _MANIFEST, {"LICENSE": "free"})
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize("kind", ["attention", "mean"])
def test_fusion_keeps_published_names_and_formulas(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    head = FusionHead(kind, 6, 4, 10)  # type: ignore[arg-type]
    path = tmp_path / "fusion.safetensors"
    state = {key: value.numpy() for key, value in head.state_dict().items()}
    write_fusion({**state, "image_llama_proj.weight": np.zeros((10, 6), np.float32)}, path)
    saved = load_file(path)
    assert saved.keys() == set(FUSION_TENSORS)

    vision, audio = torch.randn(2, 8, 6), torch.randn(2, 8, 4)
    v, a = vision.numpy(), audio.numpy()

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(x @ saved[f"{name}.weight"].T + saved[f"{name}.bias"])

    pooled = (linear("video_attention_mlp", v) * v).sum(1) if kind == "attention" else v.mean(1)
    with torch.no_grad():
        assert np.allclose(head.vision(vision)[:, 0], linear("affectgpt_proj", pooled), atol=1e-5)
        mv, ma = linear("multi_video_embs", v.mean(1)), linear("multi_audio_embs", a.mean(1))
        g = linear("fc_att", linear("attention_mlp", np.concatenate((mv, ma), -1)))
        mixed = g[:, :1] * mv + g[:, 1:] * ma if kind == "attention" else (mv + ma) / 2
        assert np.allclose(head.multi(vision, audio)[:, 0], linear("multi_llama_proj", mixed), atol=1e-5)


def test_a_hole_in_the_fusion_head_is_refused(tmp_path: Path) -> None:
    state = {key: value.numpy() for key, value in FusionHead("attention", 6, 4, 10).state_dict().items()}
    del state["fc_att.bias"]
    with pytest.raises(PackError, match="lacks"):
        write_fusion(state, tmp_path / "fusion.safetensors")

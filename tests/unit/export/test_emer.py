"""AffectGPT of 2023, from the files it is published in to a pack that infers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

import emer_edge as ee  # noqa: E402
from emer_edge.errors import InputError, PackError  # noqa: E402
from emer_edge.proof import repeat_proof  # noqa: E402
from emer_edge.session import Session  # noqa: E402
from emer_export.families import load_family  # noqa: E402
from emer_export.run import Request, plan_export, run_export  # noqa: E402
from emer_export.sources import find_paths  # noqa: E402
from emer_export.sources_emer import open_emer_sources  # noqa: E402
from tests.data.make_emer import AUDIO, SIDE, VIDEO, VIDEO_QUERIES, towers, write_emer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = 'name = "small-emer"\nextends = "affectgpt-emer"\n[graphs.sizes]\neva_depth = 2\n'


@pytest.fixture(scope="module")
def emer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five files and the language model, with two blocks in the place of 39. Not to be written to."""
    root = write_emer(tmp_path_factory.mktemp("emer"))
    (root / "small.toml").write_text(SMALL)
    return root


def _request(root: Path, out: Path, **more: Any) -> Request:
    more = {"checkpoint": (root / VIDEO, root / AUDIO), "models": root, **more}
    return Request(family=str(root / "small.toml"), out=out, **more)


@pytest.fixture(scope="module")
def exported(
    emer: Path, demo_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("packs") / "small-emer"
    request = _request(emer, out, precisions=("fp32", "fp16"), quantisations=("F32",))
    return out, run_export(plan_export(request), lambda *_: None, [demo_clip])


def test_every_stage_is_the_published_model(exported: tuple[Path, dict[str, Any]]) -> None:
    stages = exported[1]["stages"]
    assert exported[1]["holds"] is True
    for part in ("vision", "audio"):
        assert stages[f"{part}.fp32"]["relative_error"] <= 1e-4
        assert stages[f"soft.{part}.fp16"]["cosine"] >= 0.9999
    assert stages["prompt_ids"]["same"] == stages["prompt_ids"]["prompts"] == 6
    assert stages["llm.F32"]["first_token_max_abs_error"] <= 2e-3
    assert "soft.multi.fp32" not in stages


def test_the_pack_infers_and_holds_no_fusion(exported: tuple[Path, dict[str, Any]], demo_clip: Path) -> None:
    folder = exported[0]
    made = json.loads((folder / "manifest.json").read_text())
    assert made["fusion"] == {"kind": "tokens", "vision_dim": 64, "audio_dim": 64, "model_dim": 64}
    assert not (folder / "fusion.safetensors").exists()
    file = made["encoders"]["vision"]["files"]["fp32"]
    assert file["input"]["shape"] == [8, 3, SIDE, SIDE]
    assert file["output"]["shape"] == [VIDEO_QUERIES, 64]
    with ee.load(folder, threads=1) as reasoner:
        out = reasoner.infer(demo_clip, question="labels", options=ee.Options(max_tokens=4))
    assert set(out.used.modalities) == {"vision", "audio", "subtitle"}
    assert out.emotions


def test_its_proof_is_repeated_without_torch(exported: tuple[Path, dict[str, Any]]) -> None:
    session = Session(exported[0], threads=1)
    try:
        stages = repeat_proof(session, lambda *_: None)
    finally:
        session.close()
    assert all(row["holds"] for row in stages.values())


def test_the_prompt_is_the_published_one(emer: Path, tmp_path: Path) -> None:
    made = plan_export(_request(emer, tmp_path / "pack")).manifest["prompt"]
    run = " " * 16
    assert "".join(part["text"] for part in made["parts"]) == (
        "###Human: Close your eyes, open your ears and you imagine only based on the sound that: "
        f"<Audio><AudioHere></Audio>. {run}Close your ears, open your eyes and you see that "
        f"<Video><ImageHere></Video>.  {run}The subtitle of this video is <Subtitle>{{subtitle}}</Subtitle>. "
        f"{run}Now answer my question based on what you have seen, heard, and given subtitles. "
        "{question}###Assistant:"
    )
    assert made["add_bos"] is True
    assert made["markers"] == {"<AudioHere>": "audio", "<ImageHere>": "vision"}


def test_towers_are_read_from_their_files(emer: Path) -> None:
    family = load_family(emer / "small.toml")
    sources = open_emer_sources(family, find_paths(family, (emer / VIDEO, emer / AUDIO), emer, {}))
    frames, windows = torch.randn(8, 3, SIDE, SIDE), torch.randn(8, 32_000) * 0.1
    with torch.inference_mode():
        for source, made, given in zip(
            (sources.vision, sources.audio), towers(2), (frames, windows), strict=True
        ):
            torch.testing.assert_close(source.load()(given), made(given))


def test_a_later_checkpoint_replaces_what_it_holds(emer: Path, tmp_path: Path) -> None:
    own = tmp_path / "checkpoint_000010_loss_0.5.pth"
    torch.save({"model": {"llama_proj.bias": torch.full((64,), 7.0)}, "epoch": 10}, own)
    family = load_family(emer / "small.toml")
    paths = find_paths(family, (emer / AUDIO, emer / VIDEO, own), emer, {})
    bias = open_emer_sources(family, paths).vision.checkpoint.tensor("llama_proj.bias")
    assert bias.tolist() == [7.0] * 64


def test_wrong_files_are_refused_with_a_list(emer: Path, tmp_path: Path) -> None:
    def refused(match: str, **more: Any) -> str:
        with pytest.raises(PackError, match=match) as caught:
            plan_export(_request(emer, tmp_path / "pack", **more))
        return str(caught.value)

    assert "audio_query_tokens" in refused("no tensor", checkpoint=(emer / VIDEO,))
    stray = tmp_path / "stray.pth"
    torch.save({"model": {"face_encoder.weight": torch.zeros(3)}}, stray)
    told = refused("parts of another model", checkpoint=(emer / VIDEO, emer / AUDIO, stray))
    assert "face_encoder.weight" in told
    state = torch.load(emer / "imagebind_huge.pth", weights_only=True)
    del state["modality_trunks.audio.blocks.1.attn.bias_k"]
    torch.save(state, tmp_path / "imagebind_huge.pth")
    told = refused("is not the windows tower", parts={"audio": tmp_path / "imagebind_huge.pth"})
    assert "blocks.1.attn.bias_k" in told


def test_the_real_family_runs_39_of_40_blocks(tmp_path: Path) -> None:
    root = write_emer(tmp_path, eva_depth=39)
    family = load_family("affectgpt-emer")
    sources = open_emer_sources(family, find_paths(family, (root / VIDEO, root / AUDIO), root, {}))
    names = sources.vision.checkpoint.names()
    assert "visual_encoder.blocks.38.norm1.weight" in names
    assert not any(name.startswith(("visual_encoder.blocks.39", "visual_encoder.norm")) for name in names)
    with pytest.raises(InputError, match="Parts of affectgpt-emer are missing") as caught:
        find_paths(family, (root / VIDEO,), tmp_path / "empty", {})
    assert "blip2_pretrained_flant5xxl.pth" in caught.value.why

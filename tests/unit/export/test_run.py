"""A checkpoint in the published layout becomes a pack that infers, resumes, and is proved to be the same
model.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

import emer_edge as ee  # noqa: E402
from emer_edge.errors import InputError, OutputError, PackError  # noqa: E402
from emer_edge.proof import repeat_proof  # noqa: E402
from emer_edge.session import Session  # noqa: E402
from emer_edge.strays import missed  # noqa: E402
from emer_export import run  # noqa: E402
from emer_export.build import sweep  # noqa: E402
from emer_export.pack import describe_file  # noqa: E402
from emer_export.run import Request, plan_export, run_export  # noqa: E402
from tests.data.make_checkpoints import fusion_state, write_pth  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def _quiet(_file: str, _share: float | None) -> None:
    pass


def _request(root: Path, out: Path, family: str = "light-mer", **more: Any) -> Request:
    more = {"checkpoint": root / "checkpoint.pth", "models": root, "look": "frames", **more}
    return Request(family=family, out=out, **more)


@pytest.fixture(scope="module")
def exported(
    light_mer: Path, demo_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A pack with every precision, proved on the demo clip."""
    out = tmp_path_factory.mktemp("packs") / "tiny-light-mer"
    request = _request(
        light_mer, out, precisions=("fp32", "fp16", "int8"), quantisations=("F32", "F16", "Q8_0")
    )
    return out, run_export(plan_export(request), _quiet, [demo_clip])


def test_every_stage_is_the_published_model(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, parity = exported
    stages = parity["stages"]
    assert parity["holds"] is True
    for part in ("vision", "audio", "soft.multi", "soft.audio", "soft.vision"):
        assert stages[f"{part}.fp32"]["relative_error"] <= 1e-4
        assert stages[f"{part}.fp16"]["cosine"] >= 0.9999
    assert stages["vision.int8"]["pooled_cosine"] >= 0.99
    assert stages["prompt_ids"]["same"] == stages["prompt_ids"]["prompts"] == 18, (
        "3 questions, 3 files, 2 inputs"
    )
    assert stages["llm.F32"]["first_token_max_abs_error"] <= 2e-3
    assert stages["llm.F32"]["same_greedy_text"] == stages["llm.F16"]["same_greedy_text"] == 2
    assert stages["llm.Q8_0"]["kl_divergence"] > stages["llm.F32"]["kl_divergence"] >= 0
    assert stages["labels.fp32.F32"]["same_label_set"] == 1
    assert stages["labels.int8"]["bounds"] == ["same top label on 97% of clips"]
    assert json.loads((folder / "manifest.json").read_text())["parity"] == parity
    assert "| vision.fp32 |" in (folder / "CARD.md").read_text()


def test_figures_are_told_in_one_line_a_stage(exported: tuple[Path, dict[str, Any]]) -> None:
    lines = run.parity_lines(exported[1])
    assert len(lines) == len(exported[1]["stages"])
    assert lines[0].startswith("vision.fp32: relative error ")
    assert lines[0].endswith("[relative error <= 0.0001]")
    assert "cosine 1.000000" in lines[0]
    assert run.parity_lines({}) == []


def test_the_pack_infers(exported: tuple[Path, dict[str, Any]], demo_clip: Path) -> None:
    with ee.load(exported[0], threads=2) as reasoner:
        out = reasoner.infer(demo_clip, question="labels", options=ee.Options(max_tokens=4))
    assert set(out.used.modalities) == {"vision", "audio", "subtitle"}
    assert out.emotions


def test_nothing_is_left_beside_the_pack(exported: tuple[Path, dict[str, Any]]) -> None:
    folder = exported[0]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [
            *("CARD.md", "LICENSE", "manifest.json", "fusion.safetensors", "reference.safetensors"),
            *(f"{part}.{p}.onnx" for part in ("vision", "audio") for p in ("fp32", "fp16", "int8")),
            *(f"llm.{q}.gguf" for q in ("F32", "F16", "Q8_0")),
        ]
    )


def test_the_plan_says_the_sizes(
    exported: tuple[Path, dict[str, Any]], light_mer: Path, tmp_path: Path
) -> None:
    wish = {"precisions": ("fp32", "fp16", "int8"), "quantisations": ("F32", "F16", "Q8_0")}
    plan = plan_export(_request(light_mer, tmp_path / "later", **wish))
    assert not list(tmp_path.iterdir())
    for artefact in plan.artefacts:
        # Graph, vocabulary and quantisation scales come on top; here they weigh more than at real size.
        found = (exported[0] / artefact.path).stat().st_size
        assert artefact.size_bytes < found < artefact.size_bytes + 200_000


def test_a_face_pack_of_the_larger_model(affectgpt: Path, demo_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny-affectgpt"
    request = _request(affectgpt, out, "affectgpt", look=None, quantisations=("F32",))
    parity = run_export(plan_export(request), _quiet, [demo_clip])
    assert parity["holds"]
    frames = json.loads((out / "manifest.json").read_text())["preprocessing"]["frames"]
    assert (frames["source"], frames["channel_order"]) == ("faces", "bgr")


def test_an_interrupted_run_goes_on_where_it_stopped(light_mer: Path, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    made: list[str] = []

    def interrupt(file: str, _share: float | None) -> None:
        made.append(file)
        if file.startswith("llm."):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_export(plan_export(_request(light_mer, out)), interrupt)
    assert not out.exists()
    again: list[str] = []
    run_export(plan_export(_request(light_mer, out)), lambda file, _share: again.append(file))
    assert made[:3] == ["vision.fp32.onnx", "audio.fp32.onnx", "fusion.safetensors"]
    assert set(again) == {"llm.Q8_0.gguf", "moving it into place"}
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]


def test_other_sources_make_everything_anew(light_mer: Path, tmp_path: Path) -> None:
    beside = tmp_path / "pack.part"
    beside.mkdir()
    (beside / "vision.fp32.onnx").write_bytes(b"stale")
    (beside / "export-state.json").write_text(
        json.dumps({"key": "of another model", "done": {"vision.fp32.onnx": {"size_bytes": 5}}})
    )
    made: list[str] = []

    def interrupt(file: str, _share: float | None) -> None:
        made.append(file)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_export(plan_export(_request(light_mer, tmp_path / "pack")), interrupt)
    assert made == ["vision.fp32.onnx"]
    assert not (beside / "vision.fp32.onnx").exists()


def test_what_a_kill_or_an_earlier_wish_left_is_swept_out(light_mer: Path, tmp_path: Path) -> None:
    plan = plan_export(_request(light_mer, tmp_path / "pack"))
    (plan.beside / "scratch").mkdir(parents=True)
    kept = ["vision.fp32.onnx", "llm.Q8_0.gguf", "export-state.json", "reference.safetensors"]
    left = [
        "vision.int8.onnx",
        "audio.fp32.onnx.partial",
        ".llm.Q8_0.gguf.unchecked",
        "scratch/vision.fp32.onnx",
    ]
    for name in (*kept, *left, "vision.fp16.tensorrt-rtx.engine"):
        (plan.beside / name).write_bytes(b"x")
    sweep(plan)
    assert sorted(path.name for path in plan.beside.iterdir()) == sorted(kept)


def test_a_pack_that_strays_is_not_put_into_its_place(
    light_mer: Path, tmp_path: Path, demo_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"relative_error": 0.5, "bounds": ["relative error <= 0.0001"], "holds": False}
    parity = {"reference": "torch", "clips": 1, "holds": False, "stages": {"vision.fp32": row}}
    monkeypatch.setattr(run, "prove", lambda *_: (parity, {}))
    monkeypatch.setattr(run, "make_artefacts", lambda plan, _report: (plan.beside, ()))
    monkeypatch.setattr(run, "seal", lambda *_: None)
    plan = plan_export(_request(light_mer, tmp_path / "pack"))
    with pytest.raises(PackError, match=r"strays from light-mer: vision\.fp32"):
        run_export(plan, _quiet, [demo_clip])
    assert not (tmp_path / "pack").exists()


def test_parts_of_another_model_are_refused_before_anything_is_written(
    light_mer: Path, tmp_path: Path
) -> None:
    checkpoint = write_pth(tmp_path / "other.pth", fusion_state(vision=24, audio=20, width=64))
    with pytest.raises(PackError, match="trained with other parts") as caught:
        plan_export(_request(light_mer, tmp_path / "pack", checkpoint=checkpoint))
    assert "audio 16, the checkpoint's 20" in caught.value.why
    assert [path.name for path in tmp_path.iterdir()] == ["other.pth"]


def test_missing_parts_are_all_named(light_mer: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Parts of light-mer are missing") as caught:
        plan_export(_request(light_mer, tmp_path / "pack", models=tmp_path, parts={"llm": light_mer}))
    assert "clip-vit-base-patch16" in caught.value.why
    assert "chinese-hubert-base" in caught.value.why
    assert "--llm" not in caught.value.why


def test_a_language_model_of_another_kind_is_refused(light_mer: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(light_mer / "Qwen3-0.6B", tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gemma"}))
    with pytest.raises(PackError, match="'gemma'"):
        plan_export(_request(light_mer, tmp_path / "pack", parts={"llm": folder}))


def test_an_encoder_with_a_hole_is_refused(light_mer: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(light_mer / "chinese-hubert-base", tmp_path / "audio")
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    del state["encoder.layers.3.layer_norm.bias"]
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(PackError) as caught:
        plan_export(_request(light_mer, tmp_path / "pack", parts={"audio": folder}))
    assert "encoder.layers.3.layer_norm.bias" in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"precisions": ("fp8",)}, "fp8"),
        ({"quantisations": ("Q2_K",)}, "Q2_K"),
        ({"look": "thermal"}, "thermal"),
        ({"name": "No Name"}, "No Name"),
        ({"family": "affectgpt-emer"}, "affectgpt-emer"),
    ],
)
def test_what_can_t_be_had_is_said(more: dict[str, Any], said: str, light_mer: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        plan_export(_request(light_mer, tmp_path / "pack", **more))


def test_an_older_pack_is_kept_without_force(light_mer: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        plan_export(_request(light_mer, tmp_path / "pack"))


def test_the_example_of_the_page_makes_a_manifest(light_mer: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    definition = tmp_path / "my-mer.toml"
    definition.write_text(page.split("```toml\n")[1].split("```")[0])
    names = {"vision": "clip-vit-base-patch16", "audio": "chinese-hubert-base", "llm": "Qwen3-0.6B"}
    parts = {part: light_mer / name for part, name in names.items()}
    request = _request(light_mer, tmp_path / "pack", str(definition), look=None, parts=parts)
    manifest = plan_export(request).manifest
    assert manifest["encoders"]["vision"]["files"]["fp32"]["input"]["shape"] == [16, 3, 32, 32]
    assert manifest["prompt"]["markers"].keys() == {"<MultiHere>", "<AudioHere>", "<FrameHere>"}


def test_the_proof_is_repeated_without_torch(exported: tuple[Path, dict[str, Any]]) -> None:
    folder, parity = exported
    session = Session(folder, threads=1)
    try:
        stages = repeat_proof(session, lambda *_: None)
    finally:
        session.close()
    assert set(stages) == {stage for stage in parity["stages"] if not stage.startswith("labels.")}
    assert all(row["holds"] for row in stages.values())
    assert stages["prompt_ids"]["same"] == 3
    assert stages["llm.F32"]["words"] == stages["llm.F32"]["same_words"] > 1
    assert stages["llm.Q8_0"]["kl_divergence"] > stages["llm.F32"]["kl_divergence"]


def test_the_repeated_proof_sees_other_weights(exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The files are exchanged behind the hashes' back: one precision for another is enough to be seen."""
    folder = shutil.copytree(exported[0], tmp_path / "pack")
    shutil.copyfile(folder / "audio.int8.onnx", folder / "audio.fp32.onnx")
    shutil.copyfile(folder / "llm.Q8_0.gguf", folder / "llm.F32.gguf")
    manifest = json.loads((folder / "manifest.json").read_text())
    for row in manifest["files"]:
        row |= describe_file(folder, folder / row["path"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    session = Session(folder, threads=1)
    try:
        assert {"audio.fp32", "soft.audio.fp32", "llm.F32"} <= set(
            missed(repeat_proof(session, lambda *_: None))
        )
    finally:
        session.close()


def test_the_proof_is_repeated_on_clips_with_the_published_files(
    exported: tuple[Path, dict[str, Any]], light_mer: Path, demo_clip: Path
) -> None:
    found = run.prove_again(_request(light_mer, exported[0]), exported[0], _quiet, [demo_clip])
    assert found == exported[1]

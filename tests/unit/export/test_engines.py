"""Engines are compiled ahead of time, kept under their key and made anew when it changes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnx")

import emer_edge as ee
from emer_edge.encoders import tensorrt as loading
from emer_edge.encoders.tensorrt import Machine
from emer_edge.errors import DeviceError, InputError, PackError
from emer_edge.limits import Limits
from emer_edge.packs.verify import verify_pack
from emer_export import engines, run, tensorrt
from emer_export.run import EngineWish, Request, plan_export, run_export
from emer_export.tensorrt import Target, build_engine, find_target
from tests.unit.export.interrupts import interrupted

pytestmark = pytest.mark.filterwarnings("ignore")
THREE = ("sm86", "sm89", "sm120")
BUILT_IN = Path(ee.__file__).parent / "packs" / "builtin" / "emer-nano"


def _request(root: Path, out: Path, **more: Any) -> Request:
    more = {"precisions": ("fp16",), "engines": (EngineWish("tensorrt-rtx", THREE),), **more}
    return Request("light-mer", root / "checkpoint.pth", out, models=root, look="frames", **more)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A library that compiles by writing its target down; gives what was compiled."""
    return _stand_in(monkeypatch)


@pytest.fixture(scope="module")
def pack(light_mer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack with two engines that only look like some. Not to be written to."""
    out = tmp_path_factory.mktemp("packs") / "pack"
    with pytest.MonkeyPatch.context() as patch:
        assert _stand_in(patch) == []
        run_export(plan_export(_request(light_mer, out)), lambda *_: None)
    return out


def _stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def build(onnx: Path, path: Path, target: Target, share: Any) -> float:
        share(0.5)
        made.append(onnx.name)
        path.write_text(f"vtrt {target}")
        return 1.5

    def find(wish: EngineWish) -> Target:
        return Target(wish.library, "1.7.1.116", wish.architectures, "")

    monkeypatch.setattr(engines, "build_engine", build)
    monkeypatch.setattr(engines, "find_target", find)
    return made


def test_engines_stand_in_manifest_and_card(pack: Path) -> None:
    manifest = verify_pack(pack, Limits())
    assert [engine.encoder for engine in manifest.engines] == ["vision", "audio"]
    first = manifest.engines[0]
    hashes = {file.path: file.sha256 for file in manifest.files}
    assert first.onnx_sha256 == hashes["vision.fp16.onnx"]
    assert (first.library, first.architectures, first.driver) == ("tensorrt-rtx", THREE, "")
    assert "| vision.fp16.tensorrt-rtx.engine | vision fp16" in (pack / "CARD.md").read_text()
    lines = run.engine_lines(pack)
    assert lines[1].startswith("audio.fp16.tensorrt-rtx.engine: tensorrt-rtx 1.7.1.116, sm86, sm89, sm120, ")
    assert lines[1].endswith("MB in 1.5 s")


def test_another_key_makes_them_anew(light_mer: Path, tmp_path: Path, stand_in: list[str]) -> None:
    out = tmp_path / "pack"

    request = _request(light_mer, out)
    assert len(interrupted(request, "moving")) == 3 + 1 + 2 + 1
    assert interrupted(request, "moving") == ["moving it into place"]
    other = dataclasses.replace(request, engines=(EngineWish("tensorrt-rtx", ("sm75",)),))
    assert interrupted(other, "moving")[:2] == [
        "vision.fp16.tensorrt-rtx.engine",
        "audio.fp16.tensorrt-rtx.engine",
    ]
    (tmp_path / "pack.part" / "audio.fp16.onnx").write_bytes(b"")
    stand_in.clear()
    interrupted(other, "moving")
    assert stand_in == ["audio.fp16.onnx"], "a graph that is made anew takes its engine along"


def test_eight_bits_are_not_compiled(light_mer: Path, tmp_path: Path, stand_in: list[str]) -> None:
    with pytest.raises(InputError, match="fp16 or fp32") as caught:
        plan_export(_request(light_mer, tmp_path / "pack", precisions=("int8",)))
    assert "--precision" in caught.value.todo
    assert not stand_in


def test_an_engine_of_another_graph_is_refused(pack: Path, tmp_path: Path) -> None:
    out = shutil.copytree(pack, tmp_path / "pack")
    path = out / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["engines"][0]["onnx_sha256"] = "0" * 64
    path.write_text(json.dumps(manifest))
    with pytest.raises(PackError, match="compiled from another graph"):
        verify_pack(out, Limits())


def test_a_pack_is_loaded_where_its_engines_fit_and_nowhere_else(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The language model goes to the GPU too, which the installed llama.cpp may not be able to.
    monkeypatch.setattr(ee.session.Session, "_llm", lambda _session: SimpleNamespace(close=lambda: None))
    for module in (loading, ee.session):
        monkeypatch.setattr(module, "look", lambda _library: Machine("1.7.1.116", "sm90", "12.8"))
    with pytest.raises(DeviceError, match="not for this machine") as caught:
        ee.load(pack, device="tensorrt-rtx", threads=1)
    assert "made for sm86, sm89, sm120, here is sm90" in caught.value.why
    with pytest.raises(DeviceError, match="no engine of tensorrt-rtx"):
        ee.load(BUILT_IN, device="tensorrt-rtx", threads=1)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (EngineWish("tensorrt-rtx", ("sm86", "sm42")), "can't compile for sm42 ahead"),
        (EngineWish("tensorrt", ("sm86",)), "tensorrt can't compile for sm86 ahead"),
    ],
)
def test_what_can_t_be_compiled_ahead_is_said(wish: EngineWish, said: str) -> None:
    with pytest.raises(InputError, match=said):
        find_target(wish)


# From here on with the library itself, on a machine without a GPU as on any other.


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


@pytest.mark.parametrize("part", ["vision", "audio"])
def test_the_built_in_encoders_are_compiled_ahead_of_time(part: str, library: Any, tmp_path: Path) -> None:
    target = find_target(EngineWish("tensorrt-rtx", THREE))
    assert target == Target("tensorrt-rtx", library.__version__, THREE, "")
    shares: list[float | None] = []
    path = tmp_path / "x.engine"
    seconds = build_engine(BUILT_IN / f"{part}.fp32.onnx", path, target, shares.append)
    assert seconds > 0
    assert shares[-1] == 1.0
    assert shares == sorted(shares, key=lambda share: share or 0)
    assert path.read_bytes()[:4] == b"vtrt"
    assert path.stat().st_size > (BUILT_IN / f"{part}.fp32.onnx").stat().st_size / 2
    assert [file.name for file in tmp_path.iterdir()] == ["x.engine"]


def test_the_whole_command_compiles_half_precision(light_mer: Path, library: Any, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    run_export(plan_export(_request(light_mer, out)), lambda *_: None)
    manifest = verify_pack(out, Limits())
    assert [engine.version for engine in manifest.engines] == [library.__version__] * 2
    assert len(run.engine_lines(out)) == 2


def test_ctrl_c_ends_a_build_and_leaves_nothing(library: Any, tmp_path: Path) -> None:
    def interrupt(_share: float | None) -> None:
        raise KeyboardInterrupt

    target = find_target(EngineWish("tensorrt-rtx", ("sm86",)))
    with pytest.raises(KeyboardInterrupt):
        build_engine(BUILT_IN / "vision.fp32.onnx", tmp_path / "x.engine", target, interrupt)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_it_can_t_read_is_refused_in_its_words(library: Any, tmp_path: Path) -> None:
    from emer_export.onnx import quantize_onnx

    quantize_onnx(BUILT_IN / "vision.fp32.onnx", tmp_path / "vision.int8.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    target = find_target(EngineWish("tensorrt-rtx", ("sm86",)))
    for name, said in (("vision.int8.onnx", "DynamicQuantizeLinear"), ("broken.onnx", "")):
        with pytest.raises(PackError, match="can't compile") as caught:
            build_engine(tmp_path / name, tmp_path / "x.engine", target, lambda _share: None)
        assert said in caught.value.why
    assert not (tmp_path / "x.engine").exists()


def test_the_gpu_at_hand_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt, "look", lambda _library: Machine("11.4.0", "sm90", "13.0"))
    assert find_target(EngineWish("tensorrt")) == Target("tensorrt", "11.4.0", ("sm90",), "13.0")

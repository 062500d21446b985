"""The verb `export`: flags into a request, a plan as a table, figures as lines; with a stand-in exporter."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emer_edge.errors import PackError


@dataclass
class Exporter:
    """What `emer_export.run` looks like from the command line."""

    asked: dict[str, Any] = field(default_factory=dict)
    clips: list[Path] = field(default_factory=list)
    strays: bool = False

    def Request(self, **flags: Any) -> dict[str, Any]:  # noqa: N802
        self.asked = flags
        return flags

    def plan_export(self, request: dict[str, Any]) -> Any:
        files = [("scratch/vision.fp32.onnx", False), ("vision.int8.onnx", True), ("llm.Q8_0.gguf", True)]
        return SimpleNamespace(
            artefacts=[
                SimpleNamespace(path=path, size_bytes=2_500_000, kept=kept, seconds=12.0)
                for path, kept in files
            ],
            size_bytes=5_000_000,
            seconds=36.0,
            folder=request["out"],
            sources=SimpleNamespace(notes=("other widths than the published light-mer",)),
            wish=SimpleNamespace(name="tiny"),
        )

    def run_export(self, plan: Any, report: Callable[[str, float | None], None], clips: list[Path]) -> Any:
        self.clips = clips
        report("vision.int8.onnx", None)
        report("llm.Q8_0.gguf", 0.5)
        if self.strays:
            raise PackError("The pack strays from light-mer: vision.fp32.")
        return {"stages": {"prompt_ids": {}}} if clips else {}

    def EngineWish(self, *wish: Any) -> tuple[Any, ...]:  # noqa: N802
        return wish

    def engine_lines(self, _pack: Path) -> list[str]:
        return ["vision: in 3 s"] if self.asked["engines"] else []

    def parity_lines(self, parity: dict[str, Any]) -> list[str]:
        return [f"{stage}: same" for stage in parity.get("stages", {})]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Exporter:
    stand_in, real = Exporter(), importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda name, *a: stand_in if name == "emer_export.run" else real(name, *a)
    )
    return stand_in


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        from emer_edge.cli.main import root

        with pytest.raises(SystemExit) as ended:
            root.main(["export", "light-mer", "--checkpoint", "ck.pth", "-o", "tiny", *arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_flags_become_a_request(exporter: Exporter, call: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = call(
        "--models", "models", "--audio", "hubert", "--precision", "int8, fp32,int8", "--quantize", "Q4_K_M"
    )
    assert (code, out) == (0, "tiny\n")
    assert exporter.asked == {
        "family": "light-mer",
        "checkpoint": (Path("ck.pth"),),
        "models": Path("models"),
        "parts": {"vision": None, "audio": Path("hubert"), "llm": None, "qformer": None},
        "out": Path("tiny"),
        "name": None,
        "precisions": ("int8", "fp32"),
        "quantisations": ("Q4_K_M",),
        "look": None,
        "channel_order": None,
        "force": False,
        "engines": (),
        "calibrate": (),
    }


def test_engines_are_asked_for(exporter: Exporter, call: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = call("--tensorrt-rtx", "sm86, sm120", "--tensorrt")
    assert (code, out) == (0, "vision: in 3 s\ntiny\n")
    assert exporter.asked["engines"] == (("tensorrt-rtx", ("sm86", "sm120")), ("tensorrt", ()))


def test_a_dry_run_says_sizes_and_makes_nothing(
    exporter: Exporter, call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporter, "run_export", None)
    code, out, _ = call("--dry-run")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "note: other widths than the published light-mer"
    assert lines[1].split() == ["scratch/vision.fp32.onnx", "2.5", "MB", "12", "s", "for", "a", "while"]
    assert " ".join(lines[-1].split()) == "in all 5.0 MB 36 s on two cores, roughly; in tiny"


def test_parity_takes_clips_and_prints_every_stage(
    exporter: Exporter, call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "b.wav").touch()
    (tmp_path / "notes.txt").touch()
    code, out, _ = call("--parity", str(tmp_path))
    assert code == 0
    assert exporter.clips == [tmp_path / "a.mp4", tmp_path / "b.wav"]
    assert out.splitlines() == ["prompt_ids: same", "tiny"]


def test_a_pack_that_strays_ends_with_three(
    exporter: Exporter, call: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    exporter.strays = True
    (tmp_path / "a.mp4").touch()
    code, out, err = call("--parity", str(tmp_path / "a.mp4"))
    assert (code, out) == (3, "")
    assert "error: The pack strays from light-mer: vision.fp32." in err


def test_without_the_exporters_libraries_it_says_what_to_install(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def absent(name: str, *more: Any) -> Any:
        if name == "emer_export.run":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", absent)
    code, _, err = call()
    assert code == 2
    assert "There is no module torch." in err
    assert "pip install 'emer-edge[export]'" in err

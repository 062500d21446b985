"""`emer-edge packs` on a store of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.make_pack import make_stub_pack


@pytest.fixture(scope="module")
def stub_pack(tmp_path_factory) -> Path:
    return make_stub_pack(tmp_path_factory.mktemp("packs") / "stub", name="my-stub")


@pytest.fixture
def store(run, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EMER_EDGE_PACKS", str(tmp_path / "store"))
    return tmp_path / "store"


def names(run) -> list[str]:
    return [pack["name"] for pack in json.loads(run("packs", "list", "--json").stdout)["packs"]]


def test_a_pack_is_added_shown_and_removed(run, store, stub_pack) -> None:
    assert "my-stub" not in names(run)
    added = run("packs", "add", stub_pack)
    assert added.exit_code == 0, added.output
    assert added.stdout.strip() == str(store / "my-stub") == run("packs", "path", "my-stub").stdout.strip()
    assert "my-stub" in names(run)
    assert "my-stub 0." in run("packs", "list").stdout
    record = json.loads(run("packs", "show", "my-stub", "--json").stdout)
    assert record["manifest"] == json.loads((stub_pack / "manifest.json").read_bytes())
    shown = run("packs", "show", "my-stub").stdout
    assert "labels    neutral, happy" in shown
    assert run("packs", "verify", "my-stub").exit_code == 0
    assert run("packs", "add", stub_pack).exit_code == 3
    assert run("packs", "add", stub_pack, "--force").exit_code == 0
    removed = run("packs", "rm", "my-stub")
    assert (removed.exit_code, removed.stderr) == (0, "removed my-stub\n")
    assert "my-stub" not in names(run)
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("verb", ["show", "verify", "path", "rm"])
def test_an_absent_pack(run, store, verb) -> None:
    result = run("packs", verb, "absent")
    assert result.exit_code == 3
    assert result.stderr.startswith("error: ")


def test_a_broken_pack_is_listed_with_its_error(run, store, stub_pack) -> None:
    run("packs", "add", stub_pack)
    (store / "my-stub" / "manifest.json").write_text("{}")
    rows = {row["name"]: row for row in json.loads(run("packs", "list", "--json").stdout)["packs"]}
    assert rows["my-stub"]["error"]
    assert "my-stub  unusable: " in run("packs", "list").stdout
    assert run("packs", "show", "my-stub").exit_code == 3


def test_a_changed_file_is_found(run, store, stub_pack) -> None:
    run("packs", "add", stub_pack)
    card = store / "my-stub" / "CARD.md"
    card.write_bytes(card.read_bytes().replace(b"stub", b"STUB"))
    result = run("packs", "verify", "my-stub")
    assert result.exit_code == 3
    assert "CARD.md" in result.stderr


def test_the_store_may_come_from_the_settings_file(run, tmp_path, monkeypatch, stub_pack) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("EMER_EDGE_PACKS", "")  # empty is not set; restored after the test
    (tmp_path / "emer-edge").mkdir()
    (tmp_path / "emer-edge" / "config.toml").write_text(f'packs = "{tmp_path / "from-file"}"\n')
    assert run("packs", "add", stub_pack).stdout.strip() == str(tmp_path / "from-file" / "my-stub")


def test_a_pack_without_a_reference_can_not_be_proved(run, store, stub_pack) -> None:
    run("packs", "add", stub_pack)
    result = run("packs", "verify", "my-stub", "--parity")
    assert result.exit_code == 3
    assert "holds no reference to compare with" in result.stderr
    assert "exported without --parity" in result.stderr


@pytest.mark.parametrize(
    "more", [["clip.mp4"], ["--checkpoint", "ck.pth"], ["clip.mp4", "--family", "light-mer"]]
)
def test_clips_and_published_files_belong_together(run, store, stub_pack, more) -> None:
    run("packs", "add", stub_pack)
    result = run("packs", "verify", "my-stub", "--parity", *more)
    assert result.exit_code != 0
    assert "Give CLIPS, --family and --checkpoint together" in result.stderr


@pytest.mark.parametrize("holds", [True, False])
def test_every_stage_of_a_proof_is_printed(run, store, stub_pack, monkeypatch, holds) -> None:
    row = {"relative_error": 2e-6, "bounds": ["relative error <= 0.0001"], "holds": holds}
    monkeypatch.setattr("emer_edge.cli.verify_parity._repeated", lambda *_: {"vision.fp32": row})
    run("packs", "add", stub_pack)
    result = run("packs", "verify", "my-stub", "--parity")
    assert "vision.fp32: relative error 2e-06  [relative error <= 0.0001]" in result.stdout
    assert ("is whole" in result.stdout) is holds
    assert (result.exit_code, "Bounds are missed at vision.fp32" in result.stderr) == (
        0 if holds else 3,
        not holds,
    )

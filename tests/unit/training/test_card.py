"""The model card says every figure of the record, and says of each that is missing that it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from emer_edge.evaluate.faithfulness_rates import RATES
from tests.data.made_figures import made_figures
from training import card, record, sources
from training.card_tables import MISSING, estimate, number


def _estimates(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "value" in value and "interval_95" in value:
            yield value
        for own in value.values():
            yield from _estimates(own)
    elif isinstance(value, list):
        for own in value:
            yield from _estimates(own)


def test_every_figure_of_the_record_stands_in_the_card() -> None:
    figures = made_figures()
    text, part = card.render(figures), figures["test"]
    for chapter in ("detector", "disagree"):
        for found in _estimates(part[chapter]):
            assert estimate(found) in text
    for name in RATES:
        found = part["explain"][name]
        assert estimate(found["right"]) in text
        assert number(found["clear_right"]["value"]) in text
        assert f"{found['checked']:,} of {found['stated']:,}" in text
    for found in part["explain"]["subsets"].values():
        assert number(found["quotes"]["value"]) in text
    for found in part["combine"]["subsets"].values():
        assert estimate(found["accuracy"]) in text
        assert number(found["uar"]["value"]) in text
    for found in part["combine"]["disturbed"].values():
        assert estimate(found["accuracy"]) in text
        assert estimate(found["change_points"], "points") in text
    for found in part["recognise"].values():
        for name in ("accuracy", "uar"):
            assert estimate(found[name]) in text
        for name in ("macro_f1", "weighted_f1"):
            assert number(found[name]["value"]) in text
        own = found["calibration"]
        assert estimate(own["ece"]) in text
        for name in ("aurc", "accuracy_at_80_percent", "confidence", "ece_classwise", "ece_if_calibrated"):
            assert number(own[name]) in text
    for name in (
        "accuracy 0.712, uar 0.699",
        "24,001",
        "9,001",
        "1,234",
        "Made-up CPU",
        "2026-01-02",
        "9.8.7",
    ):
        assert name in text
    for name in (
        "recipe took 75 minutes, some of them side by side. Minutes of each: faces 10, joint 71.",
        "701 differ",
        "31 were cut off",
        "13 warm runs",
        "load of 1.7",
    ):
        assert name in text
    for name in (
        "4,444",
        "width 333",
        "123,456",
        "222 numbers",
        "0.444",
        "cosine 0.9876",
        "numpy 9.9.9",
        "123 s",
    ):
        assert name in text


def test_targets_are_said_to_be_met_or_not() -> None:
    figures = made_figures()
    text = card.render(figures)
    goals = [goal for chapter in figures["test"]["goals"].values() for goal in chapter]
    assert {goal["met"] for goal in goals} == {True, False, None}
    for goal in goals:
        row = next(line for line in text.splitlines() if line.startswith(f"| {goal['name']} |"))
        assert row.endswith({True: "| met |", False: "| **not met** |", None: f"| {MISSING} |"}[goal["met"]])
        assert number(goal["target"], goal["unit"]) in row
        if goal["value"] is not None:
            assert estimate(goal, goal["unit"]) in row


@pytest.mark.parametrize(
    ("chapter", "heading"),
    [
        ("recognise", "## Recognition"),
        ("detector", "## Recognition"),
        ("combine", "## Combination (synthetic pairs)"),
        ("disagree", "## Combination (synthetic pairs)"),
        ("explain", "## Faithfulness of the explanations"),
    ],
)
def test_a_missing_chapter_is_said_to_be_missing(chapter: str, heading: str) -> None:
    whole = made_figures()
    figures = deepcopy(whole)
    del figures["test"][chapter]

    def said(text: str) -> int:
        section = text.split(heading, 1)[1].split("\n## ", 1)[0]
        return section.lower().count(MISSING)

    assert said(card.render(figures)) > said(card.render(whole))


def test_a_record_without_a_rate_makes_a_card_without_its_row() -> None:
    figures = made_figures()
    row = "clues agree or differ as is said"
    assert row in card.render(figures)
    del figures["test"]["explain"]["agreement"]
    assert row not in card.render(figures)
    kept = record.read(record.FIGURES)
    assert (row in card.render(kept)) == ("agreement" in kept["test"]["explain"])


def test_a_card_without_any_figures_says_so() -> None:
    text = card.render({"pack": {"name": "emer-nano", "version": "1.2.3"}})
    assert "# emer-nano 1.2.3" in text
    assert "not measured yet" in text
    assert "None" not in text
    assert "synthetic" in text


def test_pictures_are_named_only_where_there_is_a_folder_for_them() -> None:
    figures = made_figures()
    assert "![" not in card.render(figures)
    text = card.render(figures, images="images/emer-nano")
    for name in ("targets", "reliability", "risk-coverage", "modalities", "ablations", "training"):
        assert f"(images/emer-nano/{name}.svg)" in text
    assert "(images/emer-nano/confusion-ravdess.svg)" in text


def test_dev_figures_stand_beside_those_of_test() -> None:
    figures = made_figures()
    figures["dev"] = deepcopy(figures["test"])
    figures["dev"]["goals"]["speed"][0]["value"] = 12.3
    row = next(line for line in card.render(figures).splitlines() if line.startswith("| pack | "))
    assert "| 12.3 |" in row


def test_a_pack_gets_its_card_and_its_summary(tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "CARD.md").write_text("old")
    weights = {"path": "weights.bin", "size_bytes": 1, "sha256": "0" * 64}
    manifest = {"name": "emer-nano", "card": "CARD.md", "files": [{"path": "CARD.md"}, weights]}
    (pack / "manifest.json").write_text(json.dumps(manifest))
    figures, folder = made_figures(), tmp_path / "figures.json"
    record.write(folder, figures)
    assert card.main(["--figures", str(folder), "--pack", str(pack)]) == 0
    after = json.loads((pack / "manifest.json").read_text())
    text = (pack / "CARD.md").read_text()
    assert text == card.render(record.read(folder))
    assert after["files"][0]["size_bytes"] == len(text.encode())
    assert after["files"][1] == weights
    names = {goal["name"] for chapter in figures["test"]["goals"].values() for goal in chapter}
    assert set(after["evaluation"]["test"]) <= names
    assert card.main(["--figures", str(folder), "--split", "dev"]) == 1


def test_the_licence_names_what_the_weights_were_trained_on_and_nothing_else() -> None:
    text = sources.licence()
    assert "RAVDESS" in text
    assert "EMO-DB" not in text
    assert "{" not in text

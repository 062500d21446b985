"""`emer-edge eval` on stored outputs: the figures of the reference, from the documented commands."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

pytestmark = pytest.mark.shared

Run = Callable[..., Result]


@pytest.fixture
def store(shared_data: Path) -> Path:
    """The folder of stored outputs."""
    return shared_data / "emer/apache2_noncommercial"


def test_the_stored_example_of_mer2024(run, store) -> None:
    kept = store / "mer2024_ov_store"
    result = run(
        *("eval", "score", kept / "predict-openset.csv", "--data", kept / "check-openset.csv"),
        *("--groups", kept / "openset-synonym.zip", "--json", "--resamples", "100"),
    )
    figures = json.loads(result.stdout)["figures"]
    assert figures["set_accuracy"]["value"] == 0.581777108433735
    assert figures["set_recall"]["value"] == 0.4977911646586345
    assert figures["set_average"]["value"] == 0.5397841365461847


def reference(store: Path, mapping: str) -> list[tuple[Path, dict[str, str]]]:
    """Stored labels and the row of reference figures, for one state of the mapping."""
    found = []
    path = store.parent / "derived/ew_metric_reference_scores.csv"
    with path.open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["mapping"] == mapping]
    for row in rows:
        if row["setting"].endswith(".csv"):
            labels = store / "mer2024_ov_store" / row["setting"]
        elif row["model"] == "AffectGPT":
            (labels,) = (store / "affectgpt2025_results").rglob(f"{row['setting']}-openset.npz")
        else:
            name = f"output-reason-7b-{row['setting']}-eng-openset.npz"
            labels = store / "ov_mer_results_ovmerd/results-ovmerd" / row["model"] / name
        found.append((labels, row))
    return found


def check_reference(run: Run, store: Path, mapping: str, count: int | None) -> int:
    rows = reference(store, mapping)
    # The first rows of each model differ most from one another.
    chosen = rows if count is None else rows[:: max(1, len(rows) // count)]
    files = [f"{number}={labels}" for number, (labels, _) in enumerate(chosen)]
    result = run(
        *("eval", "score", *files, "--data", store / "mer2024_ov_store/check-openset.csv", "--json"),
        *("--wheels", store / f"emotion_wheel_{mapping}", "--resamples", "100"),
    )
    assert result.exit_code == 0, result.stderr
    for line, (_, row) in zip(result.stdout.splitlines(), chosen, strict=True):
        scored = json.loads(line)
        figures = {name: 100 * value["value"] for name, value in scored["figures"].items()}
        wanted = {
            "m_avg": row["M-avg(12)"],
            "ew_f": row["EW_F(L1 mean of 5)"],
            "ew_precision": row["EW_P(L1)"],
            "ew_recall": row["EW_R(L1)"],
            **{name: row[name] for name in figures if name in row},
        }
        assert len(wanted) == 16
        for name, value in wanted.items():
            assert figures[name] == pytest.approx(float(value), abs=6e-5), (
                row["model"],
                row["setting"],
                name,
            )
        assert scored["wheels"]["vocabulary"]["revision"] == mapping
    return len(chosen)


@pytest.mark.parametrize("mapping", ["2025", "2026"])
def test_some_reference_scores(run, store, mapping) -> None:
    assert check_reference(run, store, mapping, 4) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("mapping", ["2025", "2026"])
def test_all_reference_scores(run, store, mapping) -> None:
    assert check_reference(run, store, mapping, None) == 38


def test_the_stored_outputs_on_emer_v1_stand_side_by_side(run, shared_data) -> None:
    kept = shared_data / "emer/no_licence_stated"
    files = sorted((kept / "emer_v1_baseline_results").glob("*.csv"))
    result = run(
        *("eval", "compare", *files, "--data", kept / "emer_v1/gt-eng.csv", "--baselines", "--json"),
        *("--resamples", "400"),
    )
    record = json.loads(result.stdout)
    assert len(record["systems"]) == 9
    best, *others = record["systems"]
    assert best["system"] == "gt"
    assert all(not other["against_reference"]["noise"] for other in others)

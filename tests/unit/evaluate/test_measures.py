"""Systems are scored by what the truth allows; failing never pays; comparisons say what is noise."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from emer_edge.errors import InputError
from emer_edge.evaluate.answer_labels import NAME
from emer_edge.evaluate.baselines import baselines, majority, random_truths
from emer_edge.evaluate.compare import compare
from emer_edge.evaluate.datasets import DataSet, Row, Truth
from emer_edge.evaluate.measures import headline_names, score_system
from emer_edge.evaluate.outputs import Output
from emer_edge.evaluate.prosody import Prosody
from emer_edge.evaluate.report import render
from emer_edge.evaluate.scores import Resampling
from emer_edge.evaluate.sentiment_metrics import score_sentiment
from emer_edge.evaluate.show import aligned, comparison_rows, score_lines
from emer_edge.evaluate.stored import System, read_system, read_systems
from emer_edge.evaluate.truth_scores import Scoring
from emer_edge.evaluate.wheel_metrics import score_hits, score_wheels

FEW = Scoring(resampling=Resampling(100))
LABELS = ("happy", "sad", "angry")


def system(outputs: list[Output], name: str = "made") -> System:
    return System(name, {output.id: output for output in outputs}, "as published", Path("made"))


def of_labels(*sets: tuple[str, ...]) -> DataSet:
    return DataSet("d", "ov-merd", tuple(Row(str(n), Truth(labels=labels)) for n, labels in enumerate(sets)))


def of_classes(*labels: str) -> DataSet:
    rows = tuple(Row(str(n), Truth(label=label), "words") for n, label in enumerate(labels))
    return DataSet("d", "emer-v1", rows, LABELS)


def test_open_labels_are_scored_as_the_wheel_metrics_do() -> None:
    data = of_labels(("happy", "excited"), ("sad",), ("neutral",), ("angry",))
    said = {"0": ("joyful",), "1": ("angry", "sad"), "2": ("happy",), "3": ()}
    scored = score_system(data, system([Output(name, labels) for name, labels in said.items()]), FEW)
    wanted = score_wheels({row.id: row.truth.labels or () for row in data.rows}, said, FEW.vocabulary)
    assert scored.figures["ew_f"].value == wanted.ew_f
    assert scored.figures["m_avg"].value == pytest.approx(wanted.m_avg, abs=1e-15)
    assert {name: scored.figures[name].value for name in wanted.measures} == {
        name: measure.f1 for name, measure in wanted.measures.items()
    }
    assert headline_names(data) == ("ew_f", "m_avg")
    assert "2" not in scored.quality
    assert scored.quality["3"] == 0


def test_synonym_groups_give_the_set_metric() -> None:
    data = of_labels(("glad", "sad"), ("mad",))
    groups = {"0": (("glad", "happy"),), "1": ()}
    outputs = [Output("0", ("happy",)), Output("1", ("angry",))]
    scored = score_system(data, system(outputs), replace(FEW, groups=groups))
    figures = {name: scored.figures[name].value for name in ("set_accuracy", "set_recall", "set_average")}
    assert figures == {"set_accuracy": 0.5, "set_recall": 0.25, "set_average": 0.375}


def test_one_label_is_scored_by_hits_and_by_the_first_class() -> None:
    data = of_classes("happy", "sad", "angry", "angry")
    outputs = [
        Output("0", ("sad", "joyful")),
        Output("1", ("sad",)),
        Output("2", ("disgusted",)),
        Output.failure("3", InputError("no")),
    ]
    scored = score_system(data, system(outputs), FEW)
    hits = score_hits(
        {row.id: row.truth.label or "" for row in data.rows},
        {output.id: output.labels for output in outputs},
        FEW.vocabulary,
        LABELS,
    )
    assert scored.figures["hit_rate"].value == hits.hit_rate
    assert scored.figures["accuracy"].value == 0.25
    assert scored.figures["uar"].value == pytest.approx(1 / 3)
    words, confusion = scored.confusions["classes"]
    assert words == (*LABELS, "other")
    assert confusion.sum() == 4
    assert confusion[2, 3] == 2
    assert scored.failed == 1


def test_confidences_decide_the_class_and_are_checked_for_calibration() -> None:
    data = of_classes("happy", "sad")
    outputs = [
        Output("0", ("sad",), scores={"happy": 0.5, "sad": 0.3, "fearful": 0.2}),
        Output("1", ("sad",), scores={"happy": 0.2, "sad": 0.8}),
    ]
    scored = score_system(data, system(outputs), FEW)
    assert scored.figures["accuracy"].value == 1
    assert scored.calibration is not None
    assert scored.calibration.items == 2
    assert scored.calibration.confidence == pytest.approx((0.625 + 0.8) / 2)
    json.dumps(scored.to_dict())


def test_sentiment_is_that_of_the_papers_and_failing_is_always_wrong() -> None:
    rows = tuple(Row(str(n), Truth(valence=v)) for n, v in enumerate((1.0, -1.0, 0.0, 2.0, -3.0)))
    data = DataSet("d", "cmu-mosi", rows)
    said = ("positive", "neutral", "positive", "negative", "positive")
    outputs = [Output(str(n), sentiment=word) for n, word in enumerate(said)]
    scored = score_system(data, system(outputs), FEW)
    truth = {row.id: row.truth.valence or 0.0 for row in rows}
    wanted = score_sentiment(
        truth, {output.id: output.sentiment for output in outputs}, resampling=FEW.resampling
    )
    assert scored.figures["waf"].value == pytest.approx(wanted.weighted_f1.value)
    assert scored.figures["acc"].value == wanted.accuracy.value == 0.5
    failed = [Output.failure("0", InputError("no")), Output.failure("1", InputError("no")), *outputs[2:]]
    assert score_system(data, system(failed), FEW).figures["acc"].value == 0
    silent = score_system(data, system([replace(outputs[0], sentiment=""), *outputs[1:]]), FEW)
    assert np.isnan(silent.figures["waf"].value)
    assert "1 answers" in silent.details["not_scored"]["waf"]


def test_a_truth_of_text_is_read_by_our_rules_and_says_so() -> None:
    data = DataSet("d", "emer-v2", (Row("0", Truth(text="His emotional state is sad.")),))
    scored = score_system(data, system([Output("0", ("sad",))]), FEW)
    assert scored.figures["ew_f"].value == 1
    assert scored.details["truth_from"] == NAME


def test_clips_without_output_are_refused_or_left_out() -> None:
    data = of_classes("happy", "sad", "angry")
    outputs = [Output("0", ("happy",)), Output.failure("1", InputError("no"))]
    with pytest.raises(InputError, match="no output for 1 of 3"):
        score_system(data, system(outputs), FEW)
    scored = score_system(data, system(outputs), replace(FEW, answered_only=True))
    assert len(scored.rows) == 1
    assert scored.figures["accuracy"].value == 1
    with pytest.raises(InputError, match="no answer"):
        score_system(data, system(outputs[1:]), replace(FEW, answered_only=True))
    with pytest.raises(InputError, match="no truth"):
        score_system(DataSet("d", "plain", (Row("0"),)), system(outputs), FEW)


def test_answers_of_packs_are_checked_against_what_they_rest_on() -> None:
    data = of_classes("happy", "sad")
    loud = Prosody(200.0, 4.0, 0.0, -10.0, 5.0, 0.1, 4.0)
    outputs = [
        Output(
            "0",
            ("happy",),
            'His voice is loud. He says "good day". His emotional state is happy.',
            {"happy": 1.0},
            used=("audio", "subtitle"),
            subtitle="good day",
            voice=loud,
        ),
        Output("1", ("sad",), "His emotional state is sad.", {}, used=()),
    ]
    scored = score_system(data, system(outputs), FEW)
    assert scored.faithfulness is not None
    assert scored.faithfulness.answers == 1
    assert scored.faithfulness.rates["loudness"].right.value == 1
    assert scored.faithfulness.rates["quotes"].right.value == 1


def test_baselines_know_nothing_of_the_clips() -> None:
    data = of_classes("happy", "happy", "sad", "happy", "angry")
    assert {output.labels for output in majority(data).outputs.values()} == {("happy",)}
    drawn = random_truths(data, seed=4)
    assert drawn.outputs == random_truths(data, seed=4).outputs
    assert drawn.outputs != random_truths(data, seed=5).outputs
    # The only angry clip never gets its own truth.
    assert all(random_truths(data, seed).outputs["4"].labels != ("angry",) for seed in range(20))
    train = of_classes("sad", "sad")
    assert {output.labels for output in majority(data, train).outputs.values()} == {("sad",)}
    strong = DataSet("d", "x", (Row("0", Truth(valence=1.0)), Row("1", Truth(valence=-1.0))))
    assert majority(strong).outputs["0"].sentiment == "negative"
    with pytest.raises(InputError):
        majority(DataSet("d", "x", (Row("0"),)))


def made_comparison() -> tuple[DataSet, list]:
    random = np.random.default_rng(1)
    truth = [LABELS[n] for n in random.integers(0, 3, 80)]
    data = of_classes(*truth)
    data = replace(data, rows=tuple(replace(row, subtitle="<b>&\"'") for row in data.rows))

    def made(name: str, right: float) -> System:
        said = [label if random.random() < right else "table" for label in truth]
        return system(
            [Output(str(n), (label,), f"<script>{label}</script>") for n, label in enumerate(said)], name
        )

    systems = [made("good <i>", 0.9), made("also good", 0.9), made("poor", 0.3), *baselines(data)]
    return data, [score_system(data, one, FEW) for one in systems]


def test_a_comparison_tells_noise_from_difference() -> None:
    _, scored = made_comparison()
    found = compare(scored, "accuracy", resampling=Resampling(2000))
    assert found.systems[0].system.name == found.reference
    other = next(name for name in ("good <i>", "also good") if name != found.reference)
    assert found.against[other].is_noise
    assert not found.against["poor"].is_noise
    assert not found.against["majority"].is_noise
    table = comparison_rows(found)
    assert [row[-1] for row in table][:3] == ["", "reference", "noise"]
    assert len({len(row) for row in table}) == 1
    assert all(line for line in aligned(table))
    assert compare(scored, reference="poor").against["good <i>"].difference.value > 0
    with pytest.raises(InputError, match="no figure"):
        compare(scored, "beauty")
    with pytest.raises(InputError, match="no system"):
        compare(scored, reference="nobody")
    with pytest.raises(InputError, match="same name"):
        compare([scored[0], scored[0]])
    shorter = score_system(scored[0].data.only(limit=5), scored[0].system, FEW)
    with pytest.raises(InputError, match="different clips"):
        compare([scored[1], shorter])


class Page(HTMLParser):
    """Which tags are open, and everything that could ask for something outside."""

    VOID = frozenset(("meta", "br"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.outside += [
            name
            for name, value in attrs
            # The name of SVG's namespace looks like an address; nothing is fetched from it.
            if name in ("src", "href", "action") or ("//" in (value or "") and name != "xmlns")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    _, scored = made_comparison()
    for one in (scored, scored[:1]):
        text = render(compare(one, resampling=Resampling(200)), {"Command": "<eval> & more"})
        page = Page()
        page.feed(text)
        page.close()
        assert page.open == []
        assert page.outside == []
        assert "script" not in page.tags
        assert "&lt;script&gt;" in text
        assert "url(" not in text
        assert {"svg", "table", "details"} - page.tags <= ({"details"} if len(one) == 1 else set())


def test_lines_for_people() -> None:
    _, scored = made_comparison()
    lines = score_lines(scored[0])
    assert lines[0].endswith("80 clips")
    assert any(line.startswith("accuracy") for line in lines)


def test_stored_outputs_are_read_as_published(tmp_path) -> None:
    names = np.array(["a", "b"])
    np.savez(tmp_path / "x-openset.npz", filenames=names, fileitems=np.array(["[happy, glad]", "[]"]))
    np.savez(
        tmp_path / "x-openset-sentiment.npz", filenames=names, fileitems=np.array(["positive", "as I said"])
    )
    np.savez(tmp_path / "x.npz", name2reason=np.array({"a": "He is sad.", "b": "I can't say."}, dtype=object))
    published = read_system(str(tmp_path / "x-openset.npz"))
    assert published.outputs["a"] == Output("a", ("happy", "glad"), "He is sad.", sentiment="positive")
    assert published.outputs["b"].sentiment == "neutral"
    assert published.labels_from == "as published"
    ours = read_system(f"ours={tmp_path / 'x.npz'}")
    assert (ours.name, ours.labels_from) == ("ours", NAME)
    assert ours.outputs["a"].labels == ("sad",)
    (tmp_path / "y.csv").write_text("names,pred_label,chi_reasons\na,,他很生气。\n", encoding="utf-8")
    assert read_system(str(tmp_path / "y.csv")).outputs["a"].labels == ("angry",)
    (tmp_path / "z.csv").write_text("name,openset\na,['happy']\n", encoding="utf-8")
    assert read_system(str(tmp_path / "z.csv")).outputs["a"].labels == ("happy",)


def test_systems_of_one_name_are_told_apart(tmp_path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "z.csv").write_text("name,openset\na,[]\n", encoding="utf-8")
    files = tuple(str(tmp_path / folder / "z.csv") for folder in ("one", "two"))
    assert [one.name for one in read_systems(files)] == ["one/z", "two/z"]
    with pytest.raises(InputError, match="same name"):
        read_systems((files[0], files[0]))


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "who,what\n1,2\n"), ("a.txt", "x"), ("b.csv", "name,openset\na,[]\na,[]\n"), ("c.npz", "x")],
)
def test_what_holds_no_outputs_is_refused(tmp_path, name, text) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        read_system(str(path))
    with pytest.raises(InputError):
        read_system(str(tmp_path / "absent.npz"))
    with pytest.raises(InputError):
        read_system(str(tmp_path))

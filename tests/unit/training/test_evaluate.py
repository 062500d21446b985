"""Measuring a pack: the runtime's own scores, raw answers that survive a stop, figures that hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emer_edge as ee
from emer_edge.packs.store import find_pack
from tests.data.made_figures import made_answers, made_figures, made_rows
from training import evaluate, goals, measure_explain, measure_figures, measure_pairs, record
from training.measure_data import Item, Rows, text_rows
from training.measure_pack import Gauge, Workers, pack_hash
from training.measure_pairs import PAIR_LABELS, Pair, Shelf


@pytest.fixture(scope="module")
def gauge() -> Gauge:
    return Gauge("emer-nano")


def _voice(seed: int = 1) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    moment = np.arange(32_000) / 16_000
    wave = 0.1 * np.sin(2 * np.pi * 190 * moment + np.sin(5 * moment)) * (np.sin(8 * moment + seed) > -0.3)
    return wave.astype(np.float32)


def test_scores_are_those_of_the_public_call(gauge: Gauge) -> None:
    voice, words = _voice(), "I am so happy for you!"
    clip = ee.Clip(waveform=voice, subtitle=words)
    expected = gauge.reasoner.infer(clip, question="labels").scores
    assert gauge.scores(None, gauge.hear(voice), words) == pytest.approx(expected, abs=1e-6)
    alone = gauge.reasoner.infer(ee.Clip(subtitle=words), question="labels").scores
    assert gauge.item(Item(words=words)) == pytest.approx(alone, abs=1e-6)


def test_a_face_is_embedded_as_the_runtime_embeds_its_crops(gauge: Gauge) -> None:
    crop = np.random.default_rng(2).integers(0, 256, (48, 48), np.uint8)
    rows = gauge.see(crop)
    expected = gauge.session.vision.encode(np.repeat(crop[None, None], 3, 1))
    assert rows.shape[0] == gauge.session.manifest.preprocessing.frames.count
    np.testing.assert_allclose(rows[3], expected[0], atol=1e-5)
    assert gauge.detected(np.full((48, 48), 90, np.uint8)) is None


def test_silence_is_left_out_and_nothing_at_all_is_refused(gauge: Gauge) -> None:
    assert gauge.hear(np.zeros(16_000, np.float32)) is None
    with pytest.raises(ValueError, match="nothing to ask"):
        gauge.perceive(None, None, "")


def test_disturbed_pairs_are_scored_in_every_variant(gauge: Gauge) -> None:
    face = np.random.default_rng(2).integers(0, 256, (48, 48), np.uint8)
    pair = Pair(face, _voice().astype(np.float16), "This is wonderful.", ("happy",) * 3, "a 1", "a 2", 5)
    scores = measure_pairs.combine_step(gauge, pair)["scores"]
    assert set(scores) == {*measure_pairs.SUBSETS, *measure_pairs.DISTURBED}
    assert scores["fw+v0"] == scores["fw"], "the runtime leaves silence out"
    assert scores["fw+v~"] == scores["w"], "and so it does noise, and this face is noise too"
    answer = measure_pairs.disagree_step(gauge, pair)
    assert answer["text"]
    assert len(answer["alone"]) == 2


def test_explained_clips_tell_what_each_modality_shows_alone(gauge: Gauge) -> None:
    face, words = np.random.default_rng(2).integers(0, 256, (48, 48), np.uint8), "This is wonderful."
    silence = np.zeros(16_000, np.float16)
    pair = Pair(face, silence, words, ("happy",) * 3, "a 1", "a 2", 5)
    answer = measure_pairs.explain_step(gauge, pair)
    scores = gauge.item(Item(words=words))
    best = max(scores, key=scores.__getitem__)
    assert scores[best] > 0.4
    assert answer["alone"] == {"face": "unclear", "voice": "unclear", "words": best}
    assert answer["used"] == ["subtitle"], "the runtime leaves out silence, and a face that is noise"
    alone = measure_pairs.explain_step(gauge, Pair(face, silence, words, ("happy",) * 3, "a", "b", 5, "w"))
    assert alone["alone"] == {}


def test_what_is_said_of_agreement_is_counted(tmp_path: Path) -> None:
    pairs = [
        Pair(np.zeros((48, 48), np.uint8), _voice().astype(np.float16), "", ("sad",) * 3, "", "", 1, "fv")
    ]
    contrast = "While the face looks sad, the voice sounds happy."

    def answer(text: str, **more: object) -> dict[str, object]:
        given = {"used": ["vision", "audio"], "alone": {}}
        return {"text": text, "scores": {"sad": 0.6, "happy": 0.4}, "finish": "stop", **given, **more}

    answers = [
        answer(contrast, alone={"face": "sad", "voice": "happy"}),
        answer(contrast, alone={"face": "sad", "voice": "sad"}),
        answer("The clues agree.", alone={"face": "sad", "voice": "sad"}),
        answer(contrast.replace("happy", "sad"), alone={"face": "sad", "voice": "happy"}),
        # Of a pack that has no modality read by itself.
        answer(contrast),
    ]
    figures = measure_explain.explanation(pairs * len(answers), answers)
    assert (figures["agreement"]["stated"], figures["agreement"]["checked"]) == (5, 4)
    assert figures["agreement"]["right"]["value"] == pytest.approx(0.5)
    assert figures["subsets"]["fv"]["agreement"]["value"] == pytest.approx(0.5)
    assert not any("agreement" in goal.place for chapter in goals.CHAPTERS.values() for goal in chapter)


def test_answers_that_were_given_are_not_asked_for_again(tmp_path: Path) -> None:
    items = [Item(words=f"Line number {number}.") for number in range(40)]
    pack = find_pack("emer-nano")
    with Workers(pack, tmp_path, 1) as workers:
        raw = workers.run("lines", evaluate.score_step, items, "mark")
    path = tmp_path / "lines.jsonl"
    assert len(raw.answers) == 40
    assert raw.seconds > 0
    lines = path.read_text().splitlines()
    # Stopped in the middle of a line: what is whole is kept, the rest is asked again.
    kept = [json.loads(line) for line in lines[1:20] if "row" in line]
    kept[0]["scores"] = {"kept": 1.0}
    path.write_text("\n".join([lines[0], *map(json.dumps, kept), '{"row": 39, "sco']))
    with Workers(pack, tmp_path, 1) as workers:
        again = workers.run("lines", evaluate.score_step, items, "mark")
        assert again.answers[kept[0]["row"]]["scores"] == {"kept": 1.0}
        assert again.answers[39] == raw.answers[39]
        other = workers.run("lines", evaluate.score_step, items[:3], "another mark")
    assert [answer["row"] for answer in other.answers] == [0, 1, 2]
    assert other.answers[0] == raw.answers[0]


def test_only_the_classes_of_a_corpus_count() -> None:
    scores = {"neutral": 0.1, "calm": 0.2, "happy": 0.25, "sad": 0.05, "unclear": 0.4}
    assert measure_figures.restricted(scores, ("happy", "neutral", "sad")).tolist() == pytest.approx(
        [0.25 / 0.6, 0.3 / 0.6, 0.05 / 0.6]
    )
    assert measure_figures.restricted(scores, ("calm", "happy")).tolist() == pytest.approx([4 / 9, 5 / 9])
    assert measure_figures.restricted({"sad": 1.0}, ("calm", "happy")).tolist() == [0.5, 0.5]


def test_recognition_tells_accuracy_calibration_and_the_distance_to_the_head() -> None:
    rows = made_rows("ravdess", "voice", items=400)
    figures = measure_figures.recognition(rows, made_answers(rows), {"accuracy": 0.9, "uar": 0.95})
    assert figures["items"] == 400
    assert figures["groups"] == 4
    assert figures["accuracy"]["value"] == pytest.approx(0.775, abs=0.06)
    assert figures["head"]["gap_uar_points"] == pytest.approx(95 - 100 * figures["uar"]["value"])
    assert 0 < figures["calibration"]["ece"]["value"] < 0.5
    assert figures["majority"] == pytest.approx(0.25)
    assert len(figures["interval_95_by_item"]["uar"]) == 2


def test_a_calibrated_model_shows_an_error_where_items_are_few() -> None:
    few = measure_figures.ece_if_calibrated(np.full(30, 0.6))
    many = measure_figures.ece_if_calibrated(np.full(3000, 0.6))
    assert 0.03 < few < 0.15
    assert many < 0.02


def test_faces_that_were_found_are_compared_with_themselves() -> None:
    rows = made_rows("ferplus", "face", items=4)
    right = [{"scores": {label: 1.0}, "behind": {"sad": 1.0}} for label in rows.labels]
    figures = measure_figures.detector_figures(rows, [{"scores": None, "behind": None}, *right[1:]])
    assert figures["found_share"] == 0.75
    assert figures["accuracy"]["value"] == 1
    assert figures["behind"]["accuracy"]["value"] == pytest.approx(1 / 3)


def test_heads_are_found_by_corpus_and_split() -> None:
    voices, lines = made_rows("ravdess", "voice", items=3), made_rows("meld", "words", items=5)
    metrics = {"accuracy": {"value": 0.6}, "weighted_f1": {"value": 0.5}}
    parts: dict[str, dict[str, Any]] = {
        "encoders": {"heads": {"ravdess_dev": {"accuracy": 0.5, "uar": 0.4, "items": 3}}},
        "expert": {"dev": {"meld": {"items": 5, "shares": metrics}}},
    }
    found = measure_figures.head_figures
    assert found(parts, "dev", voices) == {"accuracy": 0.5, "uar": 0.4}
    assert found(parts, "dev", lines) == {"accuracy": 0.6, "weighted_f1": 0.5}
    assert found(parts, "dev", made_rows("ravdess", "voice", items=4)) is None, "other rows"
    assert found(parts, "test", voices) is None
    assert found({}, "dev", lines) is None


def test_training_logs_become_curves(tmp_path: Path) -> None:
    (tmp_path / "voices.log").write_text(
        "voice epoch 1/2 59s loss 1.810 prosody 0.418\n"
        "voice epoch 2/2 99s loss 1.5 prosody 0.4 ravdess_uar=0.344\nelse\n"
    )
    (tmp_path / "faces.log").write_text("face epoch 1/20 127s loss 2.147 accuracy 0.298 UAR 0.125\n")
    assert record.curves(tmp_path) == {
        "voice encoder": [
            {"epoch": 1, "loss": 1.81, "prosody": 0.418},
            {"epoch": 2, "loss": 1.5, "prosody": 0.4, "ravdess_uar": 0.344},
        ]
    }


def _shelf() -> Shelf:
    count = 3 * len(PAIR_LABELS)
    labels = tuple(PAIR_LABELS[i % len(PAIR_LABELS)] for i in range(count))
    groups = tuple(str(i % 3) for i in range(count))

    def rows(name: str, item: Item) -> Rows:
        return Rows(name, name, PAIR_LABELS, (item,) * count, labels, groups, "speaker")

    face = Item(face=np.zeros((48, 48), np.uint8))
    voice = Item(voice=np.zeros(100, np.float16))
    return Shelf(rows("face", face), [rows("a", voice), rows("b", voice)], rows("words", Item(words="so")))


def test_pairs_are_drawn_by_label_and_alike_each_time() -> None:
    shelf = _shelf()
    pairs = measure_pairs.agreeing(shelf, 70)
    assert all(len(set(pair.labels)) == 1 for pair in pairs)
    assert {sum(pair.labels[0] == label for pair in pairs) for label in PAIR_LABELS} == {10}
    assert [pair.seed for pair in pairs] == [pair.seed for pair in measure_pairs.agreeing(shelf, 70)]
    for pair in measure_pairs.disagreeing(shelf, 50):
        assert pair.labels[0] != pair.labels[1]
        assert "neutral" not in pair.labels[:2]
        assert pair.subset == "fv"
    mixed = measure_pairs.mixed(shelf, 5)
    assert {subset: sum(pair.subset == subset for pair in mixed) for subset in measure_pairs.SUBSETS} == (
        dict.fromkeys(measure_pairs.SUBSETS, 5)
    )


def test_combination_tells_gain_and_the_cost_of_noise() -> None:
    pairs = measure_pairs.agreeing(_shelf(), 70)
    answers = []
    for number, pair in enumerate(pairs):
        right, wrong = {pair.labels[0]: 1.0}, {"neutral" if pair.labels[0] != "neutral" else "sad": 1.0}
        scores = dict.fromkeys((*measure_pairs.SUBSETS, *measure_pairs.DISTURBED), right)
        scores["f"] = scores["w"] = wrong
        scores["v"] = right if number % 2 else wrong
        scores["vw+f~"] = wrong if number < 7 else right
        answers.append({"scores": scores})
    figures = measure_figures.combination(pairs, answers)
    assert figures["best_single"] == "v"
    assert figures["gain_points"]["value"] == pytest.approx(50)
    assert figures["subsets"]["fvw"]["accuracy"]["value"] == 1
    assert figures["worst_disturbed_points"]["value"] == pytest.approx(-10)
    assert figures["disturbed"]["fw+v0"]["change_points"]["value"] == 0


def test_a_contrast_is_one_of_the_model_and_not_of_a_quote() -> None:
    said = measure_figures.says_contrast
    assert said("While the face looks happy, the voice sounds sad.", ("happy", "sad")) == (True, True)
    assert said("The face looks happy, but the voice sounds odd.", ("happy", "sad")) == (True, False)
    assert said('The words "... but I am sad ..." sound sad. It is happy.', ("happy", "sad")) == (
        False,
        False,
    )


def test_disagreement_counts_what_can_be_expected() -> None:
    pairs = measure_pairs.disagreeing(_shelf(), 4)
    answers = []
    for number, pair in enumerate(pairs):
        first, second = pair.labels[:2]
        answers.append(
            {
                "text": f"The face looks {first}, but the voice sounds {second}."
                if number < 2
                else "Nothing.",
                "labels": [first, second] if number < 3 else [first],
                "alone": [{first: 1.0}, {second if number != 3 else first: 1.0}],
            }
        )
    figures = measure_figures.disagreement(pairs, answers)
    assert figures["both_in_labels"]["value"] == 0.75
    assert figures["contrast_names_both"]["value"] == 0.5
    assert figures["read_alone"]["items"] == 3
    assert figures["read_alone"]["both_in_labels"]["value"] == 1


def test_targets_are_met_missed_or_not_measured() -> None:
    goal = goals.Goal("a", ("x", "y"), 0.5, 0.3)
    assert goal.judged({"x": {"y": {"value": 0.5, "interval_95": [0.4, 0.6]}}})["met"] is True
    assert goal.judged({"x": {"y": 0.4}})["met"] is False
    assert goal.judged({"x": {}})["met"] is None
    assert goals.Goal("b", ("x",), 0.5, at_least=False).judged({"x": 0.6})["met"] is False


def test_test_rows_are_measured_once_for_a_version() -> None:
    figures = made_figures()
    pack = figures["pack"]
    record.check_unmeasured(figures, pack)
    record.check_unmeasured(figures, {**pack, "version": "10.0.0", "sha256": "cd" * 32})
    with pytest.raises(record.MeasuringError, match=r"9\.8\.7"):
        record.check_unmeasured(figures, {**pack, "sha256": "cd" * 32})
    after = record.merged(figures, "dev", {**pack, "version": "10.0.0", "sha256": "cd" * 32}, {"a": 1})
    assert "test" not in after, "figures of other weights don't stay"
    assert after["dev"]["a"] == 1
    assert after["ablations"] == figures["ablations"]
    assert "test" in record.merged(figures, "dev", pack, {})
    assert record.measured_before(figures, "test", pack) == figures["test"]
    assert record.measured_before(figures, "test", {**pack, "sha256": "cd" * 32}) == {}


def test_the_record_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    record.write(
        path, {"list": [0.123456789, 2, -3.5, 2.4e-06], "name": "a", "deep": {"rows": [[1, 2], [3, 4]]}}
    )
    assert record.read(path) == {
        "list": [0.123457, 2, -3.5, 2.4e-06],
        "name": "a",
        "deep": {"rows": [[1, 2], [3, 4]]},
    }
    assert "[0.123457, 2, -3.5, 2.4e-06]" in path.read_text()
    assert record.read(tmp_path / "absent.json") == {}


def test_a_packs_hash_is_that_of_what_decides_its_answers(tmp_path: Path) -> None:
    manifest = json.loads((find_pack("emer-nano") / "manifest.json").read_text())

    def hashed(**changes: object) -> str:
        (tmp_path / "manifest.json").write_text(json.dumps({**manifest, **changes}))
        return pack_hash(tmp_path)

    files = [{**row, "sha256": "0"} if row["path"] == "CARD.md" else row for row in manifest["files"]]
    assert hashed() == hashed(evaluation={"a": 1}, files=files)
    assert hashed() != hashed(labels={**manifest["labels"], "report_above": 0.9})
    assert hashed() != hashed(files=[{**row, "sha256": "0"} for row in manifest["files"]])


def test_text_rows_are_those_with_one_label_the_pack_can_name(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    tables = {
        "meld": "split\tdialogue\ttext\tlabel\ndev\t7\tWell , fine .\tjoy\ntest\t7\tNo.\tanger\n",
        "goemotions": "split\tid\ttext\tlabels\ndev\ta\tThanks\tgratitude\ndev\tb\tHm\tjoy,fear\n",
        "isear": "split\tsubject\ttext\tlabel\ndev\t1\tI lied\tguilt\ndev\t2\tA dog\tfear\n",
    }
    for name, table in tables.items():
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(table.encode()))
    meld, goemotions, isear = text_rows(tmp_path, "dev")
    assert (meld.items, meld.labels, meld.groups) == ((Item(words="Well, fine."),), ("happy",), ("7",))
    assert goemotions.labels == ("happy",)
    assert isear.labels == ("fearful",)
    with pytest.raises(FileNotFoundError, match="--corpus"):
        text_rows(tmp_path / "nowhere", "dev")


def test_the_test_rows_are_measured_whole(tmp_path: Path) -> None:
    line = ["--corpus", str(tmp_path), "--pack", str(tmp_path), "--split", "test"]
    with pytest.raises(SystemExit):
        evaluate.main([*line, "--items", "5"])
    assert evaluate.main([*line, "--figures", str(tmp_path / "figures.json")]) == 1

"""The tables of the model card: figures become rows of Markdown.

Knows Markdown and the record's layout. A figure that is missing is written as such. Does not know prose or
files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training import record
from training.goals import CORPORA
from training.plots import named, titled
from training.sources import SOURCES

MISSING = "not measured"
Figures = Mapping[str, Any]
_SPLITS = ("train", "dev", "test", "cross")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a line that says so where there are no rows."""
    if not rows:
        return f"{MISSING.capitalize()}."
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float | None, unit: str = "") -> str:
    """Return a number for people: shares with three decimals, what has a unit with as many as it needs."""
    if value is None:
        return MISSING
    if unit:
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{value:.3f}"


def estimate(found: Figures | None, unit: str = "") -> str:
    """Return a value with its interval."""
    if not found or found.get("value") is None:
        return MISSING
    interval = found.get("interval_95")
    span = f" ({number(interval[0], unit)} to {number(interval[1], unit)})" if interval else ""
    return number(found["value"], unit) + span


def circumstances(part: Figures, split: str, pack: Figures) -> str:
    """Say of which pack, when, where and how long the figures were measured."""
    measured = part.get("measured")
    if not measured:
        return f"**The {split} figures of this version are not measured yet.**"
    machine, seconds = measured["machine"], measured["seconds"]
    libraries = ", ".join(f"{name} {version}" for name, version in measured["libraries"].items())
    test = (
        "test rows, measured once for this version"
        if split == "test"
        else "dev rows, on which choices were made"
    )
    return (
        f"Figures of the {test}: {measured['date']}, pack {str(pack.get('sha256', MISSING))[:16]} "
        f"(SHA-256 of weights and settings), {machine['cores']} cores of {machine['cpu']}, {libraries}. "
        f"Measuring took {sum(seconds.values()) / 60:.0f} minutes: "
        + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
        + "."
    )


def parts(shape: Figures) -> str:
    """What the pack is made of, and how large it is."""
    sizes = shape.get("size_bytes", {})
    if not sizes and not shape:
        return f"{MISSING.capitalize()}."

    def megabytes(file: str) -> str:
        return f"{sizes[file] / 1e6:.1f} MB" if file in sizes else MISSING

    rows = []
    for name, what in (("vision", "face"), ("audio", "window")):
        encoder = shape["encoders"][name]
        parameters = shape.get("parity", {}).get(f"{name}.fp32", {}).get("parameters")
        weights = f", {parameters:,} weights" if parameters else ""
        rows.append(
            [f"{name} encoder", f"{encoder['dim']} numbers per {what}{weights}", megabytes(encoder["file"])]
        )
    rows.append(["fusion", f"AffectGPT, {shape['fusion']['kind']}", megabytes(shape["fusion"]["file"])])
    llm = shape["llm"]
    rows.append(
        [
            "language model",
            f"{llm['architecture']} shape, width {llm['n_embd']}, {llm['n_vocab']:,} tokens, "
            f"context {llm['n_ctx']}, {llm['precision']}",
            megabytes(llm["file"]),
        ]
    )
    rows.append(["whole pack", "", f"{sum(sizes.values()) / 1e6:.1f} MB" if sizes else MISSING])
    return table(("part", "what", "size"), rows)


def data(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The corpora, their terms and how many rows each split has."""
    rows = []
    for source in SOURCES:
        found = counts.get(source.key)
        order = sorted(found or {}, key=lambda name: _SPLITS.index(name) if name in _SPLITS else len(_SPLITS))
        sizes = ", ".join(f"{name} {found[name]:,}" for name in order) if found else MISSING
        rows.append([source.name, source.what, source.terms, source.apart, source.used, sizes])
    return table(("corpus", "what", "terms", "splits", "used for", "rows"), rows)


def training_time(seconds: Mapping[str, float]) -> str:
    """How long each step of the recipe took, and all of them, of which some run side by side."""
    if not seconds:
        return f"How long training took: {MISSING}."
    each = ", ".join(f"{name} {value / 60:.0f}" for name, value in seconds.items() if name != record.WHOLE)
    told = "not measured in one piece"
    if record.WHOLE in seconds:
        told = f"{seconds[record.WHOLE] / 60:.0f} minutes, some of them side by side"
    return f"The steps of the recipe took {told}. Minutes of each: {each}."


def goals(goals: Sequence[Figures], beside: Sequence[Figures]) -> str:
    """Each target with what was measured, met or not; `beside` are the same goals on the dev rows."""
    dev = {goal["name"]: goal for goal in beside}
    rows = []
    for goal in goals:
        unit = goal["unit"]
        bound = "at least" if goal["at_least"] else "at most"
        verdict = {True: "met", False: "**not met**", None: MISSING}[goal["met"]]
        row = [goal["name"], estimate(goal, unit)]
        if dev:
            row.append(number(dev.get(goal["name"], {}).get("value"), unit))
        floor = "" if goal["floor"] is None else number(goal["floor"], unit)
        rows.append([*row, floor, f"{bound} {number(goal['target'], unit)} {unit}".strip(), verdict])
    return table(("figure", "measured (95 %)", *(("dev",) if dev else ()), "floor", "target", ""), rows)


def recognition(recognise: Mapping[str, Figures]) -> str:
    """All metrics of every corpus, and the encoder heads beside them."""
    rows = []
    for name, found in recognise.items():
        head = found.get("head", {})
        told = [f"{key.replace('_', ' ')} {number(own)}" for key, own in head.items() if "gap" not in key]
        rows.append(
            [
                titled(name, found),
                f"{found['items']:,} in {found['groups']:,} ({found['grouped_by']})",
                f"{estimate(found['accuracy'])}; majority {number(found['majority'])}",
                estimate(found["uar"]),
                number(found["macro_f1"]["value"]),
                number(found["weighted_f1"]["value"]),
                ", ".join(told) or MISSING,
            ]
        )
    return table(
        ("corpus", "items, groups", "accuracy", "UAR", "macro F1", "weighted F1", "head or expert"),
        rows,
    ) + _by_item(recognise)


def _by_item(recognise: Mapping[str, Figures]) -> str:
    few = [
        f"{CORPORA.get(name, name)} {number(found['interval_95_by_item']['uar'][0])} to "
        f"{number(found['interval_95_by_item']['uar'][1])}"
        for name, found in recognise.items()
        if found["modality"] == "voice" and "interval_95_by_item" in found
    ]
    if not few:
        return ""
    return f"\n\nFew speakers make wide, coarse intervals. Drawn by clip instead, UAR: {'; '.join(few)}."


def detector(found: Figures) -> str:
    """Faces that had to be found first."""
    if not found:
        return f"Through the face detector: {MISSING}."
    behind = found.get("behind", {})
    return (
        f"Through the face detector and its alignment, {found['items']:,} crops at twice their size with a "
        f"grey border: {number(found['found_share'])} found; of these accuracy "
        f"{estimate(found.get('accuracy'))}, UAR {estimate(found.get('uar'))}. The same faces "
        f"behind it: accuracy {estimate(behind.get('accuracy'))}, UAR {estimate(behind.get('uar'))}."
    )


def calibration(recognise: Mapping[str, Figures]) -> str:
    """Calibration and selective answers of every corpus."""
    rows = []
    for name, found in recognise.items():
        own = found["calibration"]
        rows.append(
            [
                titled(name, found),
                number(own["confidence"]),
                number(own["accuracy"]["value"]),
                estimate(own["ece"]),
                number(own["ece_if_calibrated"]),
                number(own["ece_classwise"]),
                number(own["brier"]["value"]),
                number(own["aurc"]),
                number(own["accuracy_at_80_percent"]),
                number(found["unclear_first"]),
            ]
        )
    head = (
        "corpus",
        "confidence",
        "accuracy",
        "ECE, 15 bins",
        "of a calibrated model",
        "classwise ECE",
        "Brier",
        "AURC",
    )
    return table((*head, "accuracy of the surest 80 %", "called unclear"), rows)


def combination(combine: Figures) -> str:
    """Accuracy by what is given, and what noise and silence cost."""
    if not combine:
        return f"{MISSING.capitalize()}."
    rows = [
        [named(subset), estimate(found["accuracy"]), number(found["uar"]["value"])]
        for subset, found in combine["subsets"].items()
    ]
    noisy = [
        [
            f"{named(found['without'])}; {found['what']}",
            estimate(found["accuracy"]),
            estimate(found["change_points"], "points"),
        ]
        for found in combine["disturbed"].values()
    ]
    return "\n\n".join(
        [
            f"{combine['items']:,} synthetic examples of {len(combine['classes'])} labels, each a "
            f"held-out face, a held-out speaker ({combine['speakers']} of them) and a held-out line with the "
            "same label. They are no natural clips. "
            f"The best single modality is {named(combine['best_single'])}.",
            table(("given", "accuracy", "UAR"), rows),
            "With noise or silence in place of a modality, against leaving it out (points, paired):",
            table(("given", "accuracy", "change"), noisy),
        ]
    )


def disagreement(found: Figures) -> str:
    """What becomes of a face and a voice that show different things."""
    if not found:
        return f"Disagreement of face and voice: {MISSING}."
    read = found["read_alone"]
    rows = [
        [words, estimate(found[key]), estimate(read[key])]
        for key, words in (
            ("both_in_labels", "both are among the labels"),
            ("contrast_said", "the reasoning sets them against each other"),
            ("contrast_names_both", "and names both"),
        )
    ]
    return "\n\n".join(
        [
            f"Where face and voice disagree ({found['items']:,} synthetic pairs; in {read['items']:,} of "
            "them each, given alone, is recognised):",
            table(("", "all pairs", "both recognised alone"), rows),
        ]
    )


_RATES = {
    "voice": "voice clues, all",
    "pitch": "... pitch",
    "movement": "... melody",
    "loudness": "... loudness",
    "pace": "... pace",
    "pauses": "... pauses",
    "quotes": "quotes stand in the subtitle",
    "absent_unnamed": "a modality that was not given is not named",
    "given_named": "a modality that was given is named",
    "labels_agree": "the text's first label is the surest of the logits",
    "agreement": "clues agree or differ as is said, by what each modality shows alone",
}


def faithfulness(explain: Figures) -> str:
    """Everything that was checked in the explanations, by kind of statement and by what was given."""
    if not explain:
        return f"{MISSING.capitalize()}."
    rows = [
        [
            words,
            estimate(explain[name]["right"]),
            number(explain[name]["clear_right"]["value"]),
            f"{explain[name]['checked']:,} of {explain[name]['stated']:,}",
            number(explain[name]["by_chance"]) if name == "voice" or words.startswith("...") else "",
        ]
        for name, words in _RATES.items()
        if name in explain
    ]
    columns = ("voice", "quotes", "absent_unnamed", "labels_agree", "agreement")
    names = [name for name in columns if name in explain]
    subsets = [
        [
            named(subset),
            *(number(found.get(name, {}).get("value")) if name in found else "" for name in names),
        ]
        for subset, found in explain.get("subsets", {}).items()
    ]
    return "\n\n".join(
        [
            f"{explain['answers']:,} explanations of synthetic clips of held-out people, every subset of "
            "modalities, checked against the clip by signal processing and against its subtitle. "
            f"{estimate(explain['without_fault'])} of them state nothing wrong; "
            f"{explain['different_texts']:,} differ from each other; {explain['cut_off']:,} were cut off.",
            "Clear statements leave out those whose measured value lies within the error of measurement of a "
            "limit; chance is what the same statements would reach on the other clips. The model was told "
            "what each modality shows alone: the rate of agreement says whether its text keeps to that.",
            table(("statement", "right (95 %)", "clear ones", "checked", "by chance"), rows),
            table(("given", *(_RATES[name] for name in names)), subsets),
        ]
    )


def speed(found: Figures) -> str:
    """Under what circumstances the times were taken."""
    if not found:
        return ""
    return (
        f"Medians of {found['repeats']} warm runs on {found['threads']} threads; before them the "
        f"machine had a load of {number(found['load_before'], 'processes')}."
    )


def parity(found: Figures) -> str:
    """How near the exported files are to the network that was trained."""
    rows = [
        [
            name,
            ", ".join(
                f"{key.replace('_', ' ')} {value:.4g}" if isinstance(value, float) else f"{key} {value:,}"
                for key, value in entry.items()
                if isinstance(value, int | float)
            ),
        ]
        for name, entry in found.items()
    ]
    return "From the exporter, against the network that was trained:\n\n" + table(("file", "measured"), rows)


def ablations(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """What leaving out parts of the recipe costs."""
    rows = []
    for title, variants in groups.items():
        for name, found in variants.items():
            rows.append([title, name, estimate(found if isinstance(found, Mapping) else {"value": found})])
    return table(("measure", "variant", "value"), rows)


def voice_folds(found: Figures) -> str:
    """The grouped cross-validation of the networks of the voice."""
    if not found:
        return ""
    each = ", ".join(number(value) for value in found["uar_each_fold"])
    count = found["networks"]
    heard = "One network of the voice alone" if count == 1 else f"{count} networks of the voice together"
    return (
        f"{heard}, of {found['epochs']} epochs, cross-validated over all "
        f"{found['speakers']} actors of RAVDESS in {found['folds']} folds ({found['items']:,} clips, eight "
        f"classes, no actor on both sides): UAR {estimate(found['uar'])}, accuracy "
        f"{estimate(found['accuracy'])}; UAR of each fold: {each}. Its weights are in no pack."
    )


def voice_curves(found: Figures) -> str:
    """What length, data, augmentation and size of the voice's network are worth within and across corpora."""
    if not found:
        return ""
    within, across, variants = found["within"], found["across"], found["variants"]
    rows = [
        [
            entry["words"],
            f"{entry['clips']:,}",
            f"{entry['weights']:,}",
            estimate(entry["within"]),
            estimate(entry["across"]),
            estimate(entry["change"]) if "change" in entry else "",
        ]
        for entry in variants.values()
    ]
    return (
        "One network of the voice, trained on RAVDESS alone and changed in one thing at a time: UAR on "
        f"{within['speakers']} other actors ({within['items']:,} clips, {within['classes']} classes, "
        f"intervals over clips) and on EmoSpeech, of which it heard nothing ({across['items']:,} clips of "
        f"{across['speakers']} users, {across['classes']} classes, chance {1 / across['classes']:.2f}, "
        "intervals over users). The change is that on EmoSpeech, paired. Each network is its last weights, "
        "not their running mean, which favours long training. No test rows are among them, and the weights "
        "are in no pack.\n\n"
        + table(("network", "clips", "weights", "UAR within", "UAR across", "change across"), rows)
    )

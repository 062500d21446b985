"""The licence note and the model card of emer-nano, filled in with measured figures.

Knows wording only. Does not know how figures are measured.
"""

from __future__ import annotations

from typing import Any

LICENCE = """\
emer-nano (the weights in this folder) is licensed under

    Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International (CC BY-NC-SA 4.0)
    https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode

You may share and adapt the weights for non-commercial purposes if you give credit, say what you changed,
and pass them on under the same licence. The program that runs them is licensed separately (Apache-2.0).

The weights were trained from scratch; they contain no other model. They were trained on:

- RAVDESS speech (Livingstone and Russo, 2018), CC BY-NC-SA 4.0
- Indian EmoSpeech Command Dataset, CC BY-NC-SA 4.0
- FER+ labels (Barsoum et al., 2016, Microsoft) on FER2013 pictures, research use
- muxspace facial expressions on LFW, press and film pictures; labels Apache-2.0, pictures research use
- MELD (Poria et al., 2019), television subtitles, research use
- GoEmotions (Demszky et al., 2020), CC BY 4.0
- ISEAR (Scherer and Wallbott, 1994), research use
- EmoContext (SemEval-2019 task 3), research use
- RECCON (Poria et al., 2021) on DailyDialog (Li et al., 2017), CC BY-NC-SA 4.0

The terms of these corpora bind whoever uses the weights. No recording, picture or text of them is in this
folder.
"""

_CARD = """\
# emer-nano {version}

A small model of the AffectGPT family, trained from scratch: 8 aligned faces (48 x 48, grey content), 8
windows of 2 s of voice and a subtitle go in; candidate emotions with scores, open labels and a short
explanation come out. English.

| part | what | size |
|---|---|---|
| vision encoder | convolutional, 128 numbers per face | {vision_bytes:.1f} MB |
| audio encoder | log-mel and pitch front end, convolutional, 128 numbers per window | {audio_bytes:.1f} MB |
| fusion | AffectGPT attention pooling and pre-fusion, 3 soft tokens | below 1 MB |
| language model | Qwen3 shape, width {n_embd}, {n_vocab} tokens, 5.5 M weights, Q8_0 | {llm_bytes:.1f} MB |

## What it was trained on

Faces: FER+ (training split without copies that cross splits) and muxspace. Voices: RAVDESS actors 1-18,
Indian EmoSpeech Command (73 users). Words: the training splits of MELD, GoEmotions, ISEAR, EmoContext and
RECCON/DailyDialog.

**Faces, voices and words were never recorded together.** No open audio-visual corpus with labels was at
hand, so clips are synthetic pairs: a face, a voice and a line of different people, of the same label, of
different labels, or with parts missing. What the model learnt about weighing one modality against another
comes from a rule in the recipe, not from people.

Explanations come from a template grammar. What they state is of three kinds:

- voice levels (pitch, melody, loudness, pace, pauses) are learnt from measurements of the waveform;
- quotes are meant to be verbatim words of the subtitle; the figures below say how often they are;
- facial movements ("raised brows") are the ones usual for the expression the model sees. They are **not**
measured.

## Figures

{figures}

EMO-DB (German, another studio, never seen in training) and MELD test are the honest ones; figures on
RAVDESS are of acted studio speech with two sentences.

{others}

## Numbers from export

{parity}

## Limits

- Acted voices of 91 speakers, most of them saying two sentences or one word; near chance on other corpora
is to be expected, see the cross-corpus figure.
- Faces are web pictures with one label per picture and noisy annotators; age, skin tone and culture are not
balanced.
- No children, few older people. English words only; other languages give nonsense.
- Scores are not calibrated probabilities of what a person feels. An expression is not a feeling.
- Explanations are fluent and can be wrong, even where the label is right.

## It must not be used

- to decide about people: work, school, credit, insurance, policing, border control, health;
- to watch people who have not agreed, or to infer emotions at work or in education (forbidden in the
European Union, Regulation 2024/1689, article 5);
- to identify anyone;
- as a medical device;
- commercially (see LICENSE).
"""


def _flat(figures: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in figures.items():
        name = f"{before} {key}".strip().replace("_", " ")
        if isinstance(value, dict):
            rows += _flat(value, name)
        elif isinstance(value, float):
            rows.append((name, f"{value:.3f}"))
        elif isinstance(value, list):
            rows.append((name, " to ".join(f"{x:.3f}" if isinstance(x, float) else str(x) for x in value)))
        else:
            rows.append((name, str(value)))
    return rows


def _table(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return "Not measured yet."
    return "\n".join(["| what | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _scored(figures: dict[str, Any], before: str = "") -> tuple[list[str], dict[str, Any]]:
    """Split figures into table rows of classifications and whatever else there is."""
    rows, others = [], {}
    for key, value in figures.items():
        name = f"{before} {key}".strip().replace("_", " ")
        if not isinstance(value, dict):
            others[name] = value
        elif "accuracy_95" in value:
            a, u = value["accuracy_95"], value["uar_95"]
            rows.append(
                f"| {name} | {value['items']} | {value['accuracy']:.3f} ({a[0]:.3f} to {a[1]:.3f}) "
                f"| {value['uar']:.3f} ({u[0]:.3f} to {u[1]:.3f}) | {value['weighted_f1']:.3f} |"
            )
        else:
            inner, left = _scored(value, name)
            rows += inner
            others |= left
    return rows, others


def render(manifest: dict[str, Any], encoders: dict[str, Any]) -> str:
    """Return CARD.md for a manifest and the figures of the encoders."""
    exported = encoders.get("export", {})
    rows, others = _scored(manifest["evaluation"])
    head = [
        "| whole model, Q8_0 | items | accuracy (95 %) | UAR (95 %) | weighted F1 |",
        "|---|---|---|---|---|",
    ]
    measured = {**others, **{f"encoder alone: {k}": v for k, v in encoders.get("test", {}).items()}}
    default = manifest["parity"][f"llm.{manifest['llm']['default']}"]
    return _CARD.format(
        version=manifest["version"],
        vision_bytes=exported.get("vision", {}).get("bytes", 0) / 1e6,
        audio_bytes=exported.get("audio", {}).get("bytes", 0) / 1e6,
        llm_bytes=default["size_bytes"] / 1e6,
        n_embd=manifest["llm"]["n_embd"],
        n_vocab=manifest["llm"]["n_vocab"],
        figures="\n".join([*head, *rows]) if rows else "Not measured yet.",
        others=_table(_flat(measured)),
        parity=_table(_flat(manifest["parity"])),
    )

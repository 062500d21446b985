"""Proves on real clips that a pack is the published model: stage by stage against float32 torch.

Knows the order of the stages. Does not know how a pack is made or which bounds are asked for (proof_figures).
The pack runs through the runtime itself, as `emer-edge infer` runs it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emer_edge.errors import InputError
from emer_edge.proof import INPUT
from emer_edge.session import Session
from emer_export.proof_figures import Figures
from emer_export.proof_trials import Report, Rows, encode_and_fuse, look_and_listen, made_trial
from emer_export.proof_words import WordProof
from emer_export.sources import Sources


def prove(
    sources: Sources, folder: Path, clips: Sequence[Path], report: Report, threads: int | None = None
) -> tuple[dict[str, Any], dict[str, Rows]]:
    """Measure how far the pack in `folder` strays from `sources` on `clips`.

    Args:
        sources: the model that the pack was made from.
        folder: the finished pack.
        clips: media files; subtitles are looked for as `emer-edge infer` does.
        report: told the stage and the share of it that is done.
        threads: of each engine; None takes the cores at hand.

    Returns:
        What a manifest's `parity` says: `reference`, `clips`, whether all bounds hold, and `stages`: per
        stage what was measured, its bounds and whether they hold. And what torch made of the input of
        `emer_edge.proof`, for the pack to be checked with later.

    Raises:
        InputError: no clip. MediaError, PackError and others: as the runtime.
    """
    if not clips:
        raise InputError("There is no clip to prove the pack on.", todo="Name clips.")
    figures = Figures()
    session = Session(folder, threads=threads)
    # What the runtime makes of several readings is no stage of a checkpoint: torch has one prompt.
    labels = replace(session.manifest.labels, alone=None)
    session.manifest = replace(session.manifest, labels=labels)
    try:
        trials = [*look_and_listen(session, clips, report), made_trial(session)]
        encode_and_fuse(session, sources, trials, figures, report)
        with tempfile.TemporaryDirectory() as scratch:
            words = WordProof(session, sources, figures, Path(scratch), report)
            words.run(trials)
    finally:
        session.close()
    made = trials[-1]
    kept = {**made.embeddings, **{f"soft.{name}": rows for name, rows in made.soft.items()}, **words.kept}
    return {**figures.result(len(clips)), "repeat": {"input": INPUT}}, kept

"""The recipe's parts that need no corpus: rates, optimiser, planted heads, the order of steps."""

from __future__ import annotations

import argparse
import json
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from emer_export.graphs.language import LanguageConfig, LanguageModel
from training import __main__ as recipe
from training import circuits
from training.optimise import Optimiser, rate


def test_the_rate_warms_up_and_falls_to_nothing() -> None:
    assert rate(0.0, 0, warm_up=10, decay_from=0.5) == pytest.approx(0.1)
    assert rate(0.4, 100, warm_up=10, decay_from=0.5) == 1
    assert rate(0.75, 100, warm_up=10, decay_from=0.5) == pytest.approx(0.5)
    assert rate(1.2, 100, warm_up=10, decay_from=0.5) == 0


def test_the_optimiser_fits_a_matrix_and_goes_on_after_a_restart() -> None:
    torch.manual_seed(0)
    goal = torch.randn(8, 6)

    def fresh() -> tuple[nn.Parameter, nn.Parameter, Optimiser]:
        matrix, shift = nn.Parameter(torch.zeros(8, 6)), nn.Parameter(torch.zeros(6))
        return matrix, shift, Optimiser([matrix], [shift], [], 0.0)

    def train(parts: tuple[nn.Parameter, nn.Parameter, Optimiser], steps: int) -> float:
        matrix, shift, optimiser = parts
        for _ in range(steps):
            loss = ((matrix + shift - goal) ** 2).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step(0.05, 0.01, 0.01)
        return float(loss.detach())

    first = fresh()
    assert train(first, 60) < 0.3 * float((goal**2).mean())
    again = fresh()
    with torch.no_grad():
        for own, other in zip(again[:2], first[:2], strict=True):
            own.copy_(other)
    again[2].load_state_dict(deepcopy(first[2].state_dict()))
    assert train(again, 3) == pytest.approx(train(first, 3))


def test_planted_heads_copy_what_follows_an_earlier_token_and_survive_updates() -> None:
    torch.manual_seed(0)
    model = LanguageModel(LanguageConfig(vocab_size=2000))
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(std=0.6)
    planted = circuits.plant(model)
    words = torch.randint(3, 2000, (20,))
    ids = torch.cat((torch.randint(3, 2000, (6,)), words, torch.randint(3, 2000, (8,)), words))[None]
    with torch.no_grad():
        found = model.logits(model.hidden(model.rows(ids)))[0, 34:-1].argmax(1)
    assert (found == words[1:]).float().mean() > 0.5, "chance is 1 in 2000"
    before = [part.values.clone() for part in planted]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    for part in planted:
        part.restore()
    for part, values in zip(planted, before, strict=True):
        assert torch.equal(part.parameter.detach()[part.place], values)


def test_steps_follow_each_other_and_scale(tmp_path: Path) -> None:
    options = argparse.Namespace(corpus=tmp_path, out=tmp_path, scale=0.5, threads=1, test=False)
    todo = recipe.steps(options)
    assert list(todo)[:4] == ["faces", "voices", "words_expert", "tokenizer"]
    assert todo["faces"][-2:] == ["--epochs", "10"]
    with pytest.raises(SystemExit):
        recipe.main(["--corpus", str(tmp_path), "--from-step", "nothing"])


def test_a_step_that_fails_ends_its_chain_and_its_words_are_kept(tmp_path: Path) -> None:
    todo = {"good": ["tokenizer", "--help"], "bad": ["tokenizer", "--nonsense"], "never": ["tokenizer"]}
    assert recipe.run_chain(("good", "bad", "never"), todo, tmp_path) == 2
    assert "usage: " in (tmp_path / "bad.log").read_text()
    assert not (tmp_path / "never.log").exists()
    assert list(json.loads((tmp_path / "times.json").read_text())) == ["good"]


def test_the_whole_recipe_is_timed_and_told_before_its_card_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def chain(names: tuple[str, ...], _todo: object, out: Path) -> int:
        ran.extend(names)
        if names == ("publish",):
            told = json.loads((out / "figures.json").read_text())
            assert set(told) == {"dev", "training_seconds"}
            assert told["training_seconds"]["whole"] >= 0
        return 0

    (tmp_path / "figures.json").write_text('{"dev": {}}')
    monkeypatch.setattr(recipe, "run_chain", chain)
    assert recipe.main(["--corpus", str(tmp_path), "--out", str(tmp_path), "--test"]) == 0
    assert ran[-3:] == ["ablations", "test", "publish"]


def test_a_heads_evidence_reaches_the_labels_before_any_training() -> None:
    torch.manual_seed(0)
    model = LanguageModel(LanguageConfig(vocab_size=200))
    heads = nn.functional.normalize(torch.randn(9, 256), dim=1)
    heads[:, : circuits.SOFT_PLACE + 1] = 0
    with torch.no_grad():
        table = model.model.embed_tokens.weight
        table.normal_(std=0.6)
        table[:, circuits.SOFT_PLACE] = 0
        table[10:19] = heads * 0.6 * 16
    circuits.plant(model)
    circuits.plant_evidence(model, heads)
    right = 0
    for label in range(9):
        rows = model.rows(torch.randint(20, 200, (1, 12))).detach().clone()
        rows[0, 3] = heads[label] * 6
        rows[0, 3, circuits.CONSTANT_PLACE], rows[0, 3, circuits.SOFT_PLACE] = (
            circuits.CONSTANT,
            circuits.SOFT,
        )
        with torch.no_grad():
            logits = model.logits(model.hidden(rows))[0, -1, 10:19]
        right += int(logits.argmax()) == label
    # Other heads still write noise; by chance one of nine would be right.
    assert right >= 7

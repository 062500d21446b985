"""The language model on both sides: what the pack says about each clip, and what float32 torch would have
said.

Knows prompts, greedy words, logits and label scores. Does not know encoders, or how a pack is made. Torch
runs once over its layers for all clips, prompts and answers: the pack's own words are laid behind the
prompt, and torch says at each whether it would have picked the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emer_edge.answers import Options, choose_emotions, plain, words_of_question
from emer_edge.llm.gguf import Llm
from emer_edge.llm.prompt import Prompt, Text, build_prompt
from emer_edge.pipeline import Perception, answer
from emer_edge.proof import SOFT_IDS, SUBTITLE
from emer_edge.session import Session
from emer_export.graphs.qwen import Segment, StreamedModel
from emer_export.parity import Reference
from emer_export.proof_figures import Figures, LlmFigures, Scored, kl_and_agreement
from emer_export.proof_prompts import PublishedPrompt
from emer_export.proof_trials import Report, Rows, Trial, nobody
from emer_export.sources import Sources

GREEDY_TOKENS = 64
QUESTION = "explain"


@dataclass
class _Said:
    """What the pack said about one clip."""

    words: dict[str, list[int]] = field(default_factory=dict)
    """Greedy tokens by quantisation, with the end token where it came."""
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """Confidences by `precision quantisation`."""


class WordProof:
    """Compares the language models of a pack with the published one.

    Args:
        session: of the pack; its language model is exchanged on the way.
        sources: the published model.
        figures: takes what is measured.
        scratch: a folder for logits, which are too many to keep in memory.
        report: told each stage.
    """

    def __init__(
        self, session: Session, sources: Sources, figures: Figures, scratch: Path, report: Report
    ) -> None:
        self._session, self._sources, self._figures = session, sources, figures
        self._scratch, self._report = scratch, report
        self._manifest = session.manifest
        self._published = PublishedPrompt(self._manifest, sources.llm.folder / "tokenizer.json")
        self._names = list(self._manifest.llm.files)
        self.kept: dict[str, Rows] = {}
        """What torch said about the made input, by the names in the reference."""

    def run(self, trials: Sequence[Trial]) -> None:
        """Let the pack speak about every clip, then let torch judge.

        Raises:
            PackError, LimitError, GenerationError: as the runtime.
        """
        said = [_Said() for _ in trials]
        for name in self._names:
            self._take_llm(name)
            for number, trial in enumerate(trials):
                self._report(f"llm {name}", number / len(trials))
                self._speak(name, number, trial, said[number])
        self._report("llm torch", None)
        self._judge(trials, said)

    def _take_llm(self, name: str) -> None:
        session, llm = self._session, self._manifest.llm
        session.context = session.context_owner = None
        session.llm.close()
        # Float32 keys and values: what is proved is the file, not the cache.
        session.llm = Llm(
            session.folder / llm.files[name].path, n_ctx=llm.n_ctx, threads=session.threads, kv_f32=True
        )

    def _speak(self, name: str, number: int, trial: Trial, said: _Said) -> None:
        encoders, llm = self._manifest.encoders.vision, self._session.llm
        default = name == self._manifest.llm.default
        self._check_ids(trial)
        for precision, soft in trial.by_precision.items():
            if default or precision == encoders.default:
                said.scores[f"{precision} {name}"] = self._scores(trial, soft)
        if default and not trial.made:
            truth = self._scored(self._scores(trial, trial.soft))
            for precision in trial.by_precision:
                found = self._scored(said.scores[f"{precision} {name}"])
                self._figures.encoder_labels(precision, truth, found)
        # Torch's soft tokens: what is measured here is the file of the language model alone.
        rows = self._published.rows(self._prompt(trial, QUESTION), trial.soft, llm)
        path = self._session.folder / self._manifest.llm.files[name].path
        # Room for the prompt and the words alone: llama.cpp reserves logits for every row there can be.
        n_ctx = min(self._manifest.llm.n_ctx, len(rows) + GREEDY_TOKENS)
        with Reference(path, n_ctx=n_ctx, threads=self._session.threads) as model:
            words = model.generate(rows, -1, GREEDY_TOKENS)
            ends = [i for i, token in enumerate(words) if llm.is_end(token)]
            words = words[: ends[0] + 1] if ends else words
            told = [llm.lay([np.array(words[:-1], np.int32)])] if len(words) > 1 else []
            logits = model.logits(np.concatenate([rows, *told]))[len(rows) - 1 :]
        said.words[name] = words
        np.save(self._logits(name, number), logits)

    def _logits(self, name: str, number: int) -> Path:
        """Where the pack's logits [tokens, vocabulary] lie, after the prompt and after each word but the
        last.
        """
        return self._scratch / f"{name}.{number}.npy"

    def _subtitle(self, trial: Trial) -> str:
        return plain(self._manifest, trial.perception.used.subtitle)

    def _prompt(self, trial: Trial, question: str) -> Prompt:
        words = words_of_question(self._manifest, question, self._session.limits)
        present = set(trial.perception.used.modalities)
        tokenize = self._session.llm.tokenize
        return build_prompt(self._session.template, present, self._subtitle(trial), words, tokenize)

    def _check_ids(self, trial: Trial) -> None:
        present = set(trial.perception.used.modalities)
        for question, words in self._manifest.prompt.questions.items():
            prompt = self._prompt(trial, question)
            bos = self._session.llm.bos if prompt.add_bos else None
            ours: list[int | str] = [] if bos is None else [bos]
            for piece in (*prompt.prefix, *prompt.tail):
                ours += self._session.llm.tokenize(piece.text) if isinstance(piece, Text) else [piece.name]
            self._figures.prompt_ids(ours == self._published.ids(present, self._subtitle(trial), words))

    def _scores(self, trial: Trial, soft: dict[str, Rows]) -> dict[str, float]:
        told = trial.perception
        again = Perception(told.clip, soft, told.used, told.cues, told.duration_seconds, {})
        options = Options(max_tokens=0)
        return answer(self._session, again, self._manifest.labels.question, options, nobody).scores

    def _judge(self, trials: Sequence[Trial], said: Sequence[_Said]) -> None:
        model = StreamedModel(self._sources.llm.checkpoint, self._sources.llm.sizes)
        paths = self._published.label_paths()
        with torch.inference_mode():
            forests = [
                self._forest(model, trial, own, paths) for trial, own in zip(trials, said, strict=True)
            ]
            for number, parts in enumerate(model.logits(forests)):
                own, asked, answers = said[number], parts[1], parts[2:]
                for name, after in zip(self._names, answers, strict=False):
                    pack: NDArray[np.float32] = np.load(self._logits(name, number))
                    self._figures.words(name, _compare(torch.cat([parts[0], after]), pack, own.words[name]))
                if trials[number].made:
                    self._keep(parts[0], answers, own)
                    continue
                rows = dict(zip(paths, answers[len(self._names) :], strict=True))
                self._judge_labels(_label_scores(asked, rows, paths, self._manifest.labels.temperature), own)

    def _keep(self, first: Tensor, answers: Sequence[Tensor], own: _Said) -> None:
        """Keep what torch said about the made input, for `emer_edge.proof`."""
        self.kept["first"] = first[0].numpy()
        for name, after in zip(self._names, answers, strict=False):
            best = torch.cat([first, after]).argmax(1)
            self.kept[f"truth.{name}"] = best.numpy().astype(np.float32)
            self.kept[f"words.{name}"] = np.array(own.words[name], np.float32)
        everything = {"vision", "audio", "subtitle"}
        for name, words in self._manifest.prompt.questions.items():
            ids = self._published.ids(everything, SUBTITLE, words)
            numbers = [SOFT_IDS[item] if isinstance(item, str) else item for item in ids]
            self.kept[f"ids.{name}"] = np.array(numbers, np.float32)

    def _judge_labels(self, truth: dict[str, float], own: _Said) -> None:
        for key, scores in own.scores.items():
            self._figures.labels(key, self._scored(truth), self._scored(scores))

    def _scored(self, scores: dict[str, float]) -> Scored:
        return Scored(scores, [emotion.label for emotion in choose_emotions(self._manifest, scores, ())])

    def _forest(
        self, model: StreamedModel, trial: Trial, own: _Said, paths: dict[str, list[int]]
    ) -> list[Segment]:
        """The question's prompt, the label question, then every answer and every label as a branch."""
        present, questions = set(trial.perception.used.modalities), self._manifest.prompt.questions
        subtitle, label_question = self._subtitle(trial), questions[self._manifest.labels.question]
        ids = self._published.ids(present, subtitle, questions[QUESTION])
        asked = self._published.ids(present, subtitle, label_question)
        begun = self._published.encode(self._manifest.labels.answer_prefix)
        return [
            Segment(_lay(model, ids, trial.soft), last=True),
            Segment(_lay(model, [*asked, *begun], trial.soft), last=True),
            *(Segment(model.rows(own.words[name][:-1]), 0) for name in self._names),
            *(Segment(model.rows(path[:-1]), 1) for path in paths.values()),
        ]


def _lay(model: StreamedModel, ids: Sequence[int | str], soft: dict[str, Rows]) -> Tensor:
    """Token rows, and soft tokens where a name stands."""
    return torch.cat(
        [torch.from_numpy(soft[item]) if isinstance(item, str) else model.rows([item]) for item in ids]
    )


def _compare(truth: Tensor, pack: NDArray[np.float32], words: list[int]) -> LlmFigures:
    same = (truth.argmax(1).numpy() == np.array(words)).tolist()
    divergence, agreement = kl_and_agreement(truth, torch.from_numpy(pack))
    return LlmFigures(
        first_token_max_abs_error=float(np.abs(truth[0].numpy() - pack[0]).max()),
        same_greedy_tokens=same.index(False) if False in same else len(same),
        greedy_tokens=len(same),
        kl_divergence=divergence,
        top1_agreement=agreement,
    )


def _label_scores(
    asked: Tensor, after: dict[str, Tensor], paths: dict[str, list[int]], temperature: float
) -> dict[str, float]:
    """Confidences from the float32 logits, by the rule that the runtime documents."""
    logs = []
    for label, path in paths.items():
        rows = torch.cat([asked, after[label]]).double().log_softmax(1)
        logs.append(sum(float(rows[i, token]) for i, token in enumerate(path)) / temperature)
    shares = torch.tensor(logs, dtype=torch.float64).softmax(0)
    return dict(zip(paths, shares.tolist(), strict=True))

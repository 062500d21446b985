"""Writes the answers emer-nano learns: labels, explanations, sentiment and short answers to free questions.

Knows a template grammar over the facts of one example (which modalities are given, what each one shows,
measured voice levels, quoted words). Does not know corpora, embeddings or tokens. Facial movements are the
usual ones of an expression, not measurements; voice levels and quotes are facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from training.beliefs import QUIET, UNCLEAR
from training.text import SENTIMENT

LABELS_QUESTION = "What does the character feel?"
# The runtime fills in the labels it has just read from the logits, and what it has read from each modality
# alone: the answer explains that very decision, and need not guess whether the clues agree.
EXPLAIN_QUESTION = "Why does the character feel {labels}? Alone: {alone}."
SENTIMENT_QUESTION = "Is the sentiment positive, negative or neutral?"
STATE_PREFIX = "The character's emotional state is"
SENTIMENT_PREFIX = "The character's sentiment state is"

LABEL_PARAPHRASES = (
    "Please recognize all possible emotional states of the character.",
    "How does the person feel?",
    "What is the person feeling?",
    "What emotion does the character show?",
    "Which emotions are there?",
    "What is the emotional state of the character?",
    "What does the speaker feel?",
    "Name the emotion.",
    "Please list the emotions of the person.",
)
EXPLAIN_PARAPHRASES = (
    "Please infer the person's emotional state and provide your reasoning process.",
    "Why does the person feel that way?",
    "Explain the emotion of the person.",
    "Describe the emotion and the clues.",
    "From what clues can we infer the person's emotional state?",
    "What is the person feeling, and why?",
    "What does the character feel, and why?",
    "Please explain your answer.",
    "Please describe the person's emotional state in detail.",
)
SPEECH_QUESTIONS = ("What does the person say?", "What are the words?", "Please quote the subtitle.")
FACE_QUESTIONS = ("What does the face show?", "Describe the face.", "How does the person look?")
VOICE_QUESTIONS = ("How does the voice sound?", "Describe the voice.", "What is the tone of voice?")

# Below this confidence a clue is called hard to read, and is no party to a disagreement, in the pack too.
SURE = 0.4
UNSURE = "unsure"

# Facial actions usual for each expression (after the Facial Action Coding System): strong or usual first,
# weak second.
_FACE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "neutral": (
        (
            "is relaxed and shows no strong expression",
            "stays neutral, with level brows and a closed mouth",
            "shows a plain, even expression",
            "is still, with relaxed brows and mouth",
        ),
        ("is mostly neutral", "shows little expression"),
    ),
    "happy": (
        (
            "shows a broad smile with raised cheeks",
            "is smiling, with narrowed eyes and lifted mouth corners",
            "lights up with a clear smile",
            "shows a wide smile and bright eyes",
        ),
        ("shows a slight smile", "has faintly lifted mouth corners", "hints at a smile"),
    ),
    "sad": (
        (
            "shows drooping mouth corners and raised inner brows",
            "looks downcast, with lowered eyes and a drooping mouth",
            "is heavy, with drawn-up inner brows and a sinking mouth",
            "shows a clear frown of sorrow",
        ),
        ("looks a little downcast", "shows slightly lowered mouth corners", "has a faintly sorrowful look"),
    ),
    "angry": (
        (
            "shows lowered brows and a hard stare",
            "is tense, with knitted brows and pressed lips",
            "shows drawn-down brows and a tight mouth",
            "glares, with furrowed brows and clenched jaw",
        ),
        (
            "shows slightly lowered brows",
            "has a somewhat tight mouth",
            "looks a little tense around the brows",
        ),
    ),
    "fearful": (
        (
            "shows wide eyes and raised, drawn-together brows",
            "is tense, with wide eyes and a stretched mouth",
            "looks frightened, with raised brows and wide eyes",
        ),
        ("shows slightly widened eyes and tense brows", "looks uneasy around the eyes"),
    ),
    "disgusted": (
        (
            "shows a wrinkled nose and a raised upper lip",
            "is screwed up, with a wrinkled nose",
            "pulls back with a curled lip and narrowed eyes",
        ),
        ("shows a slightly wrinkled nose", "has a faintly curled lip"),
    ),
    "surprised": (
        (
            "shows raised brows and wide open eyes",
            "has an open mouth and high brows",
            "looks startled, with raised brows and a dropped jaw",
        ),
        ("shows slightly raised brows", "has somewhat widened eyes"),
    ),
    "contemptuous": (
        ("shows a one-sided smirk", "has one tightened mouth corner and a cool look"),
        ("hints at a smirk", "has a slightly tightened mouth corner"),
    ),
}

_FACE_UNCLEAR = "The face is not clear enough to read."
_VOICE_UNCLEAR = "The voice is not clear enough to judge."
_WORDS_UNCLEAR = "The words are not clear enough to judge."

_TONE: dict[str, tuple[str, ...]] = {
    "neutral": ("neutral", "even", "matter-of-fact"),
    "calm": ("calm", "relaxed", "gentle and calm"),
    "happy": ("cheerful", "bright", "happy"),
    "sad": ("sad", "sorrowful", "dejected"),
    "angry": ("angry", "harsh", "sharp and irritated"),
    "fearful": ("fearful", "anxious", "trembling and afraid"),
    "disgusted": ("disgusted", "full of distaste"),
    "surprised": ("surprised", "astonished", "startled"),
}

_MEANING: dict[str, tuple[str, ...]] = {
    "neutral": ("are matter-of-fact", "carry no strong feeling", "simply state something"),
    "calm": ("sound settled and at ease", "suggest calm"),
    "happy": ("express joy", "sound pleased", "suggest happiness"),
    "sad": ("express sadness", "suggest sorrow", "sound unhappy"),
    "angry": ("express anger", "sound irritated", "suggest frustration"),
    "fearful": ("express fear", "sound worried", "suggest anxiety"),
    "disgusted": ("express disgust", "suggest strong dislike"),
    "surprised": ("express surprise", "sound astonished", "suggest that something was unexpected"),
    "contemptuous": ("express contempt", "sound scornful"),
}


@dataclass(frozen=True)
class FaceFacts:
    """What the faces show: `label`, believed with `share` 0..1."""

    label: str
    share: float


@dataclass(frozen=True)
class VoiceFacts:
    """What the voice shows: `label`, believed with `share`, and measured `levels` (pitch, movement, loudness,
    pace, pauses -> word; 'none' or absent where not clear).
    """

    label: str
    share: float
    levels: Mapping[str, str]


@dataclass(frozen=True)
class WordsFacts:
    """What is said: the `quote` (a run of words of the subtitle), its `label`, believed with `share`, and
    open labels `extra`.
    """

    quote: str
    label: str
    share: float
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """All facts of one example; a modality that is not given is None. `labels` is the answer, primary
    first.
    """

    labels: tuple[str, ...]
    face: FaceFacts | None = None
    voice: VoiceFacts | None = None
    words: WordsFacts | None = None
    seen: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name, part in (("face", self.face), ("voice", self.voice), ("words", self.words)):
            if part is not None and part.label != UNCLEAR and part.share >= SURE:
                self.seen[name] = part.label

    def about(self, labels: tuple[str, ...]) -> Facts:
        """Return the same clues with other labels to explain."""
        return replace(self, labels=labels)

    def misread(self, name: str, label: str, share: float) -> Facts:
        """Return the same clues with another label read from `name` (face, voice, words)."""
        other = replace(getattr(self, name), label=label, share=share)
        return replace(self, **{name: replace(other, extra=()) if name == "words" else other})


def _listing(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def state_sentence(labels: tuple[str, ...]) -> str:
    """Return the label answer, for example "The character's emotional state is happy, amused."."""
    return f"{STATE_PREFIX} {', '.join(labels)}."


def sentiment_sentence(label: str) -> str:
    """Return the sentiment answer for the primary label; what is unclear is neither good nor bad."""
    sentiment = next((name for name, members in SENTIMENT.items() if label in members), "neutral")
    return f"{SENTIMENT_PREFIX} {sentiment}."


def face_sentence(face: FaceFacts, rng: Random) -> str:
    """Describe the expression; the less it is believed, the weaker the wording."""
    if face.label == UNCLEAR:
        return _FACE_UNCLEAR
    if face.share < SURE:
        return f"The face is hard to read, perhaps {face.label}."
    strong, weak = _FACE[face.label]
    return f"The face {rng.choice(strong if face.share >= 0.67 else weak)}."


def _voice_details(levels: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Every clear level, always in the same order: what is said is then a matter of the clip alone."""
    known = {name: word for name, word in levels.items() if word != "none"}
    phrases = {
        "loudness": {"moderate": "moderately loud"},
        "pitch": {word: f"{word} in pitch" for word in ("low", "medium", "high")},
        "movement": {"varied": "varied in melody"},
    }
    adjectives = [phrases[name].get(known[name], known[name]) for name in phrases if name in known]
    manner = [f"a {known['pace']} pace"] if "pace" in known else []
    return adjectives, manner + ([f"{known['pauses']} pauses"] if "pauses" in known else [])


def voice_sentence(voice: VoiceFacts, rng: Random) -> str:
    """Describe the measured levels first, then how the voice sounds."""
    if voice.label == UNCLEAR:
        return _VOICE_UNCLEAR
    adjectives, manner = _voice_details(voice.levels)
    tone = f"sounds {rng.choice(_TONE[voice.label])}" if voice.share >= SURE else "is hard to place"
    with_manner = f", with {' and '.join(manner)}" if manner else ""
    if not adjectives:
        return f"The voice {tone}{with_manner}."
    comma = "," if manner or len(adjectives) > 1 else ""
    return f"The voice is {_listing(adjectives)}{with_manner}{comma} and {tone}."


def words_sentence(words: WordsFacts, rng: Random) -> str:
    """Quote the subtitle and say what the words suggest."""
    if words.label == UNCLEAR:
        return _WORDS_UNCLEAR
    meaning = rng.choice(_MEANING[words.label]) if words.share >= SURE else "leave the feeling open"
    if words.share >= SURE and words.extra and rng.random() < 0.6:
        meaning = rng.choice(("sound {}", "suggest that the person is {}")).format(words.extra[0])
    return f"The words {quoted(words.quote)} {meaning}."


def quoted(words: str) -> str:
    """Set words in quotation marks with the dots of an excerpt, so that every copied word keeps its leading
    space.
    """
    return f'"... {words} ..."'


def _contrast(facts: Facts, rng: Random) -> str:
    """The surest two clues that differ, in a sentence of their own; neutral and calm do not differ."""
    verbs = {"face": "the face looks", "voice": "the voice sounds", "words": "the words sound"}
    sure = {name: part.share for name in verbs if (part := getattr(facts, name)) is not None}
    names = list(facts.seen)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if facts.seen[a] != facts.seen[b]]
    pairs = [(a, b) for a, b in pairs if not {facts.seen[a], facts.seen[b]} <= set(QUIET)]
    if not pairs:
        return ""
    a, b = max(pairs, key=lambda pair: sure[pair[0]] * sure[pair[1]])
    first, second = f"{verbs[a]} {facts.seen[a]}", f"{verbs[b]} {facts.seen[b]}"
    return rng.choice((f"While {first}, {second}.", f"{first[0].upper()}{first[1:]}, but {second}."))


def explain_question(facts: Facts) -> str:
    """Ask for the reasons of the labels, telling what each modality shows alone, as the runtime does."""
    alone = []
    for name in ("face", "voice", "words"):
        part = getattr(facts, name)
        if part is not None:
            alone.append(f"{name} {UNCLEAR if part.label == UNCLEAR else facts.seen.get(name, UNSURE)}")
    filled = EXPLAIN_QUESTION.replace("{labels}", ", ".join(facts.labels))
    return filled.replace("{alone}", ", ".join(alone))


def explanation(facts: Facts, rng: Random) -> str:
    """Write the clues of the given modalities only (face, voice, words), any disagreement, then the
    conclusion.
    """
    parts = []
    if facts.face is not None:
        parts.append(face_sentence(facts.face, rng))
    if facts.voice is not None:
        parts.append(voice_sentence(facts.voice, rng))
    if facts.words is not None:
        parts.append(words_sentence(facts.words, rng))
    contrast = _contrast(facts, rng)
    if contrast:
        parts.append(contrast)
    elif len(facts.seen) > 1 and len(set(facts.seen.values())) == 1:
        parts.append("The clues agree.")
    if not parts:
        parts.append("There is nothing to judge by.")
    state = state_sentence(facts.labels)
    parts.append(f"Therefore, {state[0].lower()}{state[1:]}")
    return " ".join(parts)


def free_answer(facts: Facts, subtitle: str | None, rng: Random) -> tuple[str, str]:
    """Return a free question and its answer, only about what is given."""
    kind = rng.choice(("speech", "speech", "speech", "face", "voice", "yesno", "labels", "explain"))
    if kind == "speech":
        said = quoted(subtitle) if subtitle else ""
        return rng.choice(SPEECH_QUESTIONS), f"The person says {said}." if said else "No words are given."
    if kind == "face":
        return rng.choice(FACE_QUESTIONS), face_sentence(
            facts.face, rng
        ) if facts.face else "No face is given."
    if kind == "voice":
        return rng.choice(VOICE_QUESTIONS), voice_sentence(
            facts.voice, rng
        ) if facts.voice else "No voice is given."
    if kind == "yesno":
        asked = facts.labels[0] if rng.random() < 0.5 else rng.choice(tuple(_MEANING))
        answer = "Yes" if asked in facts.labels else "No"
        state = state_sentence(facts.labels)
        return f"Is the person {asked}?", f"{answer}, {state[0].lower()}{state[1:]}"
    if kind == "labels":
        return rng.choice(LABEL_PARAPHRASES), state_sentence(facts.labels)
    return rng.choice(EXPLAIN_PARAPHRASES), explanation(facts, rng)

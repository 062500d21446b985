"""Quotes that are held to their text, with made vocabularies: every token's bytes are known to the test."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emer_edge.errors import GenerationError, InputError, PackError
from emer_edge.llm.generate import Generation
from emer_edge.llm.quote_index import QuoteIndex
from emer_edge.llm.quotes import QuoteLock
from emer_edge.llm.sampling import GenerationOptions
from emer_edge.llm.spans import quotable

END = 0
BYTES = [bytes([byte]) for byte in range(256)]
DOTS = ('"...', ' ..."')
PLAIN = ('"', '"')
GUILLEMETS = ("« ", " »")
LATEX = ("``", "''")
ODD = ("*-", "-*-")  # begins as it ends


def vocabulary(*more: str | bytes) -> list[bytes]:
    """An end token, every byte, and `more`."""
    return [b"", *BYTES, *(piece.encode() if isinstance(piece, str) else piece for piece in more)]


def index_of(pieces: Sequence[bytes], marks: tuple[str, str] = DOTS) -> QuoteIndex:
    return QuoteIndex(pieces, lambda token: token == END, *marks)


def allowed(lock: QuoteLock, pieces: Sequence[bytes]) -> set[bytes]:
    """The pieces that may come next."""
    masked = lock.mask(np.zeros(len(pieces), np.float32))
    return {pieces[token] for token in np.flatnonzero(masked == 0)}


def after(said: str, text: str, pieces: Sequence[bytes], marks: tuple[str, str] = DOTS) -> QuoteLock:
    """A lock that has taken `said`, byte by byte."""
    lock = QuoteLock(index_of(pieces, marks), text)
    for byte in said.encode():
        lock.accept(bytes([byte]))
    return lock


class Noise:
    """A model that says anything: random logits from a seed, with a liking for some tokens."""

    def __init__(self, pieces: Sequence[bytes], seed: int, liked: Sequence[int] = ()) -> None:
        self.pieces, self.random, self.liked = pieces, np.random.default_rng(seed), list(liked)
        self.logits = self._next()

    def _next(self) -> np.ndarray:
        logits = self.random.normal(0, 3, len(self.pieces)).astype(np.float32)
        logits[self.liked] += 6
        return logits

    def step(self, token: int) -> np.ndarray:
        return self._next()

    def piece(self, token: int) -> bytes:
        return self.pieces[token]

    def is_end(self, token: int) -> bool:
        return token == END


def completed(text: str, marks: tuple[str, str]) -> list[str]:
    """The reference: what a reader with a pattern finds between the marks."""
    opening, closing = map(re.escape, marks)
    return re.findall(f"{opening}(.*?){closing}", text, re.DOTALL)


words = st.sampled_from(
    ("I am so happy happy, well... ... don't \"no\" a\"b «ja» é naïve 我很高兴 ! '' dogs' -*- * -- x—y " +
     "ก็ดี e\u0301 👩\u200d🚀 a-*b ...\" \ud800 3.5").split()
)  # fmt: skip
texts = st.lists(words, max_size=7).map(" ".join) | st.text(max_size=20)
all_marks = st.sampled_from([DOTS, PLAIN, GUILLEMETS, LATEX, ODD, ("“", "”")])


@settings(max_examples=200, deadline=None)
@example(text='"no" "no"', marks=PLAIN, cuts=[(0, 3), (2, 9)], temperature=0.0, seed=1)
@given(
    text=texts,
    marks=all_marks,
    cuts=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=30),
    temperature=st.sampled_from([0.0, 0.7, 2.0]),
    seed=st.integers(0, 2**32),
)
def test_whatever_a_model_says_its_quotes_are_verbatim(
    text: str, marks: tuple[str, str], cuts: list[tuple[int, int]], temperature: float, seed: int
) -> None:
    # Tokens that are likely to run over borders: pieces of what a true or a false quote may look like.
    opening, closing = marks
    said = f"is {opening} {text}{closing}{opening}{text} y{closing}. {opening}happy{closing}".encode(
        "utf-8", "replace"
    )
    drawn = [said[at % len(said) :][:size] for at, size in cuts]
    pieces = vocabulary(opening, closing, " " + opening, closing + ".", closing + opening, *drawn)
    index = index_of(pieces, marks)
    model = Noise(pieces, seed, range(257, len(pieces)))
    answer = Generation(
        model,
        GenerationOptions(max_new_tokens=60, temperature=temperature, seed=seed),
        lock=QuoteLock(index, text),
    )
    spoken = "".join(answer)
    prompt_text = text.encode("utf-8", "replace").decode()
    quotes = completed(spoken, marks)
    for quote in quotes:
        bare = quote.removeprefix(" ")
        assert bare in prompt_text
        assert any(letter.isalnum() for letter in bare)
        # Only a letter beside a letter cuts a word: dots part words, so that "0.." may be quoted of "0..0".
        before = r"(?<![^\W_])" if bare[0].isalnum() else ""
        behind = r"(?![^\W_])" if bare[-1].isalnum() else ""
        whole = re.search(f"{before}{re.escape(bare)}{behind}", prompt_text)
        assert whole or not prompt_text.isascii()
    if not any(letter.isalnum() for letter in text):
        assert opening not in spoken


def test_a_model_that_quotes_at_random_is_made_true() -> None:
    text = "I am so happy for you, and so are we."
    pieces = vocabulary(
        *DOTS, ' "...', " I", " am", " so", " happy", " for", " you", " and", " are", " we", " ha", " sad"
    )
    index, found, untrue = index_of(pieces), list[str](), 0
    for seed in range(20):
        for lock in (QuoteLock(index, text), None):
            model = Noise(pieces, seed, range(257, len(pieces)))
            said = "".join(Generation(model, GenerationOptions(max_new_tokens=60), lock=lock))
            quotes = [quote.strip() for quote in completed(said, DOTS)]
            if lock is None:
                untrue += sum(quote not in text for quote in quotes)
            else:
                found += quotes
    assert len(found) > 50
    assert len(set(found)) > 10
    assert all(quote in text for quote in found)
    assert untrue > 20


@settings(max_examples=150, deadline=None)
@given(text=texts, marks=all_marks, seed=st.integers(0, 2**32))
def test_an_open_quote_can_always_go_on_and_be_closed(text: str, marks: tuple[str, str], seed: int) -> None:
    pieces = vocabulary()
    lock, random = QuoteLock(index_of(pieces, marks), text), np.random.default_rng(seed)
    if not quotable(text, marks[1].encode()).starts:
        assert marks[0][-1].encode()[-1:] not in allowed(
            after(marks[0][:-1], text, pieces, marks), pieces
        ) or (len(marks[0][-1].encode()) > 1)
        return
    for byte in marks[0].encode():
        lock.accept(bytes([byte]))
    for _ in range(len(text.encode("utf-8", "replace")) + 40):
        assert lock.quoting
        open_to = sorted(allowed(lock, pieces))
        assert open_to
        lock.accept(open_to[random.integers(len(open_to))])
        if not lock.quoting:
            return
    pytest.fail("the quote was never closed")


@settings(max_examples=60, deadline=None)
@given(
    text=texts,
    marks=all_marks,
    seed=st.integers(0, 2**32),
    more=st.lists(st.text("Iamhpy .\"'-*«» é我", min_size=1, max_size=6), max_size=20),
)
def test_the_mask_allows_exactly_what_the_bytes_allow(
    text: str, marks: tuple[str, str], seed: int, more: list[str]
) -> None:
    """A token is allowed if and only if its bytes, one by one, are; however tokens are cut."""
    opening, closing = marks
    pieces = vocabulary(
        *more, opening, opening + " I", closing + opening, "y" + closing, closing[:1], "happy" + closing + "!"
    )
    index, random = index_of(pieces, marks), np.random.default_rng(seed)
    said = b""
    for _ in range(8):
        lock = QuoteLock(index, text)
        lock.accept(said)
        open_to = allowed(lock, pieces)
        for piece in set(pieces[257:]):
            spelled: QuoteLock | None = QuoteLock(index, text)
            assert spelled is not None
            spelled.accept(said)
            for byte in piece:
                if bytes([byte]) not in allowed(spelled, pieces):
                    spelled = None
                    break
                spelled.accept(bytes([byte]))
            assert (piece in open_to) == (spelled is not None), (said, piece)
        likely = [piece for piece in open_to if piece in pieces[257:] and piece] or sorted(open_to - {b""})
        said += sorted(likely)[random.integers(len(likely))]


def test_a_quote_is_copied_word_by_word() -> None:
    pieces = vocabulary(
        " so", " happy", " ha", " am", "am", " ...", ' ..."', ' ...".', " sad", "I", " I", " x"
    )
    text = "I am so happy."
    assert {b" I", b" am", b" so", b" happy", b" ha", b"I", b"am"} <= allowed(
        after('"...', text, pieces), pieces
    )
    assert allowed(after('"...', text, pieces), pieces).isdisjoint({b" sad", b" x", b" ...", b""})
    assert allowed(after('"... so', text, pieces), pieces) == {
        b" ",
        b" ha",
        b" happy",
        b" ...",
        b' ..."',
        b' ...".',
    }
    assert allowed(after('"... so ha', text, pieces), pieces) == {b"p"}
    # The full stop may be copied or left out.
    assert b"." in allowed(after('"... happy', text, pieces), pieces)
    assert allowed(after('"... happy.', text, pieces), pieces) == {b" ", b" ...", b' ..."', b' ...".'}
    assert b" sad" in allowed(after('"... happy ..."', text, pieces), pieces)


def test_a_closing_mark_stands_only_behind_a_quote() -> None:
    pieces = vocabulary(' ..."', "...", ' ...".', '"...', ' "...', '..."', ' ..."... ..."', " are")
    text = "I know, and then."
    behind = after('"... I know, ..."', text, pieces)
    assert allowed(behind, pieces).isdisjoint({b' ..."', b' ...".', b' ..."... ..."'})
    assert {b" are", b"...", b'"...', b' "...', b'..."'} <= allowed(behind, pieces)
    assert allowed(after("well ...", text, pieces), pieces).isdisjoint({b'"', b'"...'})
    assert b'"' in allowed(after("well, he says", text, pieces), pieces)
    # Within a token the mark that closes the quote may be followed by no second one either.
    assert b' ..."... ..."' not in allowed(after('"... I know', text, pieces), pieces)
    # An apostrophe looks like a mark of one character, and equal marks open.
    assert "’".encode() in allowed(after("don", text, vocabulary("’"), ("‘", "’")), vocabulary("’"))
    assert b'"' in allowed(after("he says ", text, pieces, PLAIN), pieces)
    with pytest.raises(GenerationError):
        QuoteLock(index_of(pieces), text).accept(b'are ..."')


def test_no_part_of_a_word_is_quoted() -> None:
    pieces = vocabulary(" happy", " un", "happy", " don", "'t", " don't")
    begun = allowed(after('"...', "unhappy, don't", pieces), pieces)
    assert b" un" in begun
    assert begun.isdisjoint({b" happy", b"happy", b"'", b"'t"})
    assert allowed(after('"... don', "unhappy, don't", pieces), pieces) == {b"'", b"'t"}


def test_repeated_words_stay_open_until_they_differ() -> None:
    pieces = vocabulary(" no", " yes", " more", " ...")
    lock = after('"... no', "no yes no more", pieces)
    assert allowed(lock, pieces) == {b" ", b" yes", b" more", b" ..."}
    lock.accept(b" more")
    assert allowed(lock, pieces) == {b" ", b" ..."}  # the end of the text: only the mark is left


def test_one_word_and_words_of_other_scripts() -> None:
    pieces = vocabulary("我", "很", "高兴", "兴", "“", "”", "é", "\u0301")
    assert allowed(after("“", "No!", pieces, ("“", "”")), pieces) == {b" ", b"N"}
    closing = "”".encode()
    assert closing in allowed(after("“No", "No!", pieces, ("“", "”")), pieces)
    # A character of a script without spaces is a word; a letter without its accent is none.
    assert {"我".encode(), "很".encode(), "高兴".encode(), "兴".encode()} <= allowed(
        after("“", "我很高兴！", pieces, ("“", "”")), pieces
    )
    assert closing in allowed(after("“很", "我很高兴！", pieces, ("“", "”")), pieces)
    assert closing not in allowed(after("“cafe", "cafe\u0301", pieces, ("“", "”")), pieces)


@pytest.mark.parametrize("text", ["", "   ", "?!", "...", "—"])
def test_where_there_is_no_word_no_quote_is_opened(text: str) -> None:
    pieces = vocabulary('"...', ' "...', '."', '..."', 'x"... I', "..", "...", ".", '"')
    assert allowed(after("", text, pieces), pieces) == set(pieces) - {b'"...', b' "...', b'x"... I'}
    assert allowed(after('"', text, pieces), pieces).isdisjoint({b"...", b'..."'})
    assert b'"..' not in pieces
    assert b"." not in allowed(after('"..', text, pieces), pieces)
    assert b"." in allowed(after('"x..', text, pieces), pieces)


def test_a_token_may_open_and_begin_the_quote() -> None:
    pieces = vocabulary('"... I', '"... he', '"...I am ..."', '"... I am ...". "... you', 'said "', "...")
    open_to = allowed(after("", "I am", pieces), pieces)
    assert b'"... I' in open_to
    assert b'"...I am ..."' in open_to
    assert open_to.isdisjoint({b'"... he', b'"... I am ...". "... you'})
    lock = after("", "I am", pieces)
    lock.accept(b'said "')
    assert not lock.quoting
    lock.accept(b"...")
    assert lock.quoting


def test_what_reads_as_the_closing_mark_is_not_quoted() -> None:
    pieces = vocabulary()
    begun = allowed(after('"', 'He said "no" to ab"cd', pieces, PLAIN), pieces)
    assert begun == {b" ", b"H", b"s", b"n", b"t"}  # neither `"no"` with its marks nor `ab"cd`
    assert allowed(after('"no', 'He said "no" to', pieces, PLAIN), pieces) == {b'"'}
    assert not after('"no"', 'He said "no" to', pieces, PLAIN).quoting
    # A copied dot could still become the mark, or the next words: both stay open.
    assert allowed(after('"... well ..', "well ... I", pieces), pieces) == {b"."}
    assert allowed(after('"... well ...', "well ... I", pieces), pieces) == {b" ", b'"'}


def test_tokens_with_the_same_bytes_and_end_tokens_with_text() -> None:
    pieces = [*vocabulary(" am", " am", " am"), b" am"]
    index = QuoteIndex(pieces, lambda token: token in (END, len(pieces) - 1), *DOTS)
    lock = QuoteLock(index, "I am")
    lock.accept(b'"... I')
    free = np.flatnonzero(np.isfinite(lock.mask(np.zeros(len(pieces), np.float32)))).tolist()
    assert [token for token in free if pieces[token] == b" am"] == [257, 258, 259]


def test_what_is_given_is_not_changed_and_what_breaks_a_quote_is_refused() -> None:
    pieces = vocabulary()
    lock = after('"... I', "I am", pieces)
    logits = np.ones(len(pieces), np.float32)
    assert np.isneginf(lock.mask(logits)).sum() == len(pieces) - 1
    assert (logits == 1).all()
    outside = after("said", "I am", pieces)
    assert outside.mask(logits) is logits
    with pytest.raises(GenerationError):
        lock.accept(b"x")


@pytest.mark.parametrize(
    "marks", [("", '"'), ('"', ""), (' "', '"'), ('"', '" '), ("q", "q"), ("\ufffd", '"')]
)
def test_marks_that_cannot_be_told_from_words(marks: tuple[str, str]) -> None:
    with pytest.raises(InputError):
        index_of(vocabulary(), marks)


def test_a_vocabulary_without_every_byte_is_refused() -> None:
    with pytest.raises(PackError) as caught:
        index_of([piece for piece in vocabulary() if piece != b"A"])
    assert "0x41" in caught.value.why
    assert caught.value.what
    assert caught.value.todo

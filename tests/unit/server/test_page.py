"""The page in a real browser: a clip, a fake camera and microphone, the keyboard, a phone, both themes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.support.chromium import Chromium, find_chromium
from tests.support.server_client import Server

pytestmark = pytest.mark.skipif(
    find_chromium() is None,
    reason="there is no Chromium: apt-get install chromium, or set EMER_EDGE_CHROMIUM",
)

CLUES = "document.querySelectorAll('.clue').length"
NAMED_ROLES = {"button", "textbox", "combobox", "link", "image", "Video", "dialog"}


def write_devices(clip: Path, folder: Path) -> tuple[Path, Path]:
    """The clip as Chromium's fake devices want it: Motion JPEG and WAV."""
    camera, microphone = folder / "camera.mjpeg", folder / "microphone.wav"
    with av.open(str(clip)) as source, av.open(str(camera), "w", format="mjpeg") as out:
        video = out.add_stream("mjpeg", rate=25, width=640, height=360, pix_fmt="yuvj420p")
        for index, frame in enumerate(source.decode(video=0)):
            if index % 5 == 0:
                out.mux(video.encode(frame.reformat(format="yuvj420p")))
        out.mux(video.encode(None))
    with av.open(str(clip)) as source, av.open(str(microphone), "w", format="wav") as out:
        sound = out.add_stream("pcm_s16le", rate=44_100, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 44_100)
        for frame in source.decode(audio=0):
            for piece in resampler.resample(frame):
                out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
    return camera, microphone


@pytest.fixture(scope="module")
def browser(demo_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    folder = tmp_path_factory.mktemp("chromium")
    shown = Chromium(folder / "profile", *write_devices(demo_clip, folder))
    yield shown
    shown.close()
    shutil.rmtree(folder / "profile", ignore_errors=True)


@pytest.fixture
def page(browser: Chromium, real: Server) -> Iterator[Chromium]:
    """A fresh page; whatever it did, it asked nothing of other places and broke no rule of its own."""
    browser.problems.clear()
    browser.requests.clear()
    browser.open(f"{real.address}/")
    browser.wait_for("document.querySelector('#health').textContent === 'Ready'")
    yield browser
    assert browser.problems == []
    ours = (real.address, real.address.replace("http", "ws"), f"blob:{real.address}", "data:")
    assert [url for url in browser.requests if not url.startswith(ours)] == []


def ask(page: Chromium, clip: Path) -> None:
    page.choose_files("#file", clip, clip.with_suffix(".srt"))
    page.wait_for(f"{CLUES} >= 3")


def text(page: Chromium, selector: str) -> str:
    return str(page.run(f"document.querySelector('{selector}').innerText"))


def test_a_clip_is_answered_and_its_clues_lead_to_their_moments(page: Chromium, demo_clip: Path) -> None:
    ask(page, demo_clip)
    assert text(page, "#headline").startswith("Happy")
    assert page.run("document.querySelectorAll('#bars li').length") == 10
    assert page.run("document.querySelectorAll('#bars li.told').length") >= 1
    assert page.run("document.querySelector('.dot').getAttribute('visibility')") == "visible"
    assert "valence +" in text(page, "#reading")
    assert "The face" in text(page, "#text")
    clues = page.run("document.querySelectorAll('.clue').length")
    assert clues >= 3, "face, voice and words, and perhaps how they differ"
    assert page.run("document.querySelectorAll('#text mark').length") == clues
    assert page.run("document.querySelectorAll('.cue').length") == 2
    assert page.run("document.querySelectorAll('.seen').length") == 8
    page.run("document.querySelector('.clue.words').click()")
    page.wait_for("document.querySelector('#player').currentTime >= 0.3")
    assert page.run("document.querySelector('.clue.words').getAttribute('aria-pressed')") == "true"
    assert page.run("document.querySelectorAll('.span').length") == 3
    # It plays the quoted cue, and stops where the cue ends.
    page.wait_for("document.querySelector('#player').paused")
    assert page.run("document.querySelector('#player').currentTime") < 5.7
    page.run("document.querySelectorAll('.seen')[4].click()")
    assert page.run("document.querySelector('#player').currentTime") == pytest.approx(3.0, abs=0.1)


def test_everything_can_be_done_with_the_keyboard(page: Chromium, demo_clip: Path) -> None:
    ask(page, demo_clip)
    page.run("document.activeElement.blur()")
    seen: list[str] = []
    while "clue face" not in seen:
        page.press("Tab", 9)
        seen.append(str(page.run("document.activeElement.id || document.activeElement.className")))
        assert len(seen) < 60, seen
    for element in ("skip", "mode-clip", "mode-live", "player", "cue", "seen", "other", "question", "go"):
        assert element in seen, (element, seen)
    before = page.run("document.querySelector('#player').currentTime")
    page.press("Enter", 13, "\r")
    page.wait_for("document.querySelector('.clue.face').getAttribute('aria-pressed') === 'true'")
    page.wait_for(f"document.querySelector('#player').currentTime !== {before}")


def test_every_control_has_a_name(page: Chromium, demo_clip: Path) -> None:
    ask(page, demo_clip)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node for node in nodes if not node["ignored"] and node.get("role", {}).get("value") in NAMED_ROLES
    ]
    assert len(controls) > 12
    assert [node for node in controls if not node.get("name", {}).get("value")] == []


@pytest.mark.parametrize("width", [320, 390, 768, 1360])
def test_it_fits_every_width_in_both_themes(page: Chromium, demo_clip: Path, width: int) -> None:
    grounds = []
    for dark in (False, True):
        page.resize(width, 800, dark=dark)
        assert page.run("document.documentElement.scrollWidth") <= width
        grounds.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(244, 245, 247)", "rgb(16, 18, 22)"]


def test_a_file_that_is_no_clip_is_told_in_words(page: Chromium, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no clip at all")
    page.choose_files("#file", broken)
    page.wait_for("!document.querySelector('#notice').hidden")
    assert "broken.mp4 is not a readable clip" in text(page, "#notice")
    assert page.run("document.querySelector('#notice').getAttribute('role')") == "alert"


def test_camera_and_microphone_are_watched(page: Chromium, real: Server) -> None:
    page.run("document.querySelector('#mode-live').click()")
    page.run("document.querySelector('#start').click()")
    page.wait_for("document.querySelectorAll('.state').length >= 2")
    assert "valence" in text(page, "#reading")
    for sense in ("pictures", "of sound"):  # not always in one window, where the machine is behind
        page.wait_for(f"document.querySelector('#facts').innerText.includes('{sense}')")
    assert real.metric("emer_live_sessions") == 1
    page.run("document.querySelector('#go').click()")
    page.wait_for(f"{CLUES} >= 1")
    page.run("document.querySelector('.clue').click()")
    assert page.run("document.querySelectorAll('.span').length") == 1
    page.run("document.querySelector('#stop').click()")
    page.wait_for("document.querySelector('#player').src.startsWith('blob:')")
    # What was seen stays in the tab: the clue's moment can be played now.
    page.run("document.querySelector('.clue').click()")
    page.wait_for("document.querySelector('#player').currentTime > 0")
    end = time.monotonic() + 60
    while real.metric("emer_live_sessions"):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_description_of_the_routes_is_shown(page: Chromium, real: Server) -> None:
    page.open(f"{real.address}/docs")
    page.wait_for("document.querySelectorAll('article').length >= 7")
    assert "/v1/emotion" in text(page, "#routes")

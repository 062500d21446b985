"""Draw docs/images/server/page.png: the page of a real server in a real browser, after a clip was answered.

python -m scripts.make_page_image [--out FILE]      # needs Chromium and the extra `serve`
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from examples.make_demo_clip import write_clip
from tests.support.chromium import Chromium
from tests.support.server_client import Server
from tests.unit.server.test_page import ask

IMAGE = Path(__file__).resolve().parents[1] / "docs" / "images" / "server" / "page.png"


def main() -> None:
    """Serve, ask about the drawn clip, and keep what is seen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=IMAGE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "demo.mp4"
        write_clip(clip)
        server = Server(stub=False).wait_until_ready()
        browser = Chromium(folder / "profile")
        try:
            browser.open(f"{server.address}/")
            browser.wait_for("document.querySelector('#health').textContent === 'Ready'")
            ask(browser, clip)
            browser.wait_for("!document.querySelector('#go').disabled")
            browser.wait_for("document.querySelector('#player').readyState >= 4")
            time.sleep(1)  # the player takes its waiting circle away
            browser.picture(options.out, whole=True)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()

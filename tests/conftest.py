"""Where tests find clips and data that are not part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.make_demo_clip import write_clip

SHARED = Path(__file__).parents[2] / "shared"


def _folder(path: Path) -> Path:
    if not path.is_dir():
        pytest.skip(f"{path} is absent: the reference clips and data are not part of the project")
    return path


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    """The folder of reference clips: talking/, faces_no_speech/, odd/, manifest.csv."""
    return _folder(SHARED / "clips")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data: corpus/, emer/."""
    return _folder(SHARED / "data")


@pytest.fixture(scope="session")
def demo_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn talking face of examples/, demo.mp4 with demo.srt beside it: 6 s, 640x360, H.264 and AAC."""
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    write_clip(path)
    return path


@pytest.fixture(scope="session")
def made_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small drawn clips; `tests/data/make_clips.py` says what each is for."""
    from tests.data.make_clips import make_clips

    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder)
    return folder

"""Where tests find clips and data that are not part of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

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

"""Where tests find clips and data that are not part of the project."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

from examples.make_demo_clip import write_clip

# The same examples every time where a run must not depend on luck; other runs go on looking for new ones.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

EXPORTER_NEEDS = [name for name in ("torch", "tokenizers", "onnxscript") if find_spec(name) is None]
collect_ignore_glob = ["unit/export/test_*.py", "unit/training/test_*.py"] if EXPORTER_NEEDS else []
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, since ignored files show nowhere else."""
    if EXPORTER_NEEDS:
        terminalreporter.write_line(
            f"left out: the tests of exporter and training, without {', '.join(EXPORTER_NEEDS)}; "
            "for them: pip install -e .[export]"
        )

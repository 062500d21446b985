"""Settings: who wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from emer_edge.config import DEFAULTS, FILE_BYTES, config_path, load_settings
from emer_edge.errors import InputError


def environment(folder: Path, text: str | bytes | None = None, **variables: str) -> dict[str, str]:
    out = {"XDG_CONFIG_HOME": str(folder), **variables}
    if text is not None:
        path = config_path(out)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return out


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings({}, environment(tmp_path))
    assert {name: setting.value for name, setting in settings.by_name.items()} == DEFAULTS
    assert {setting.source for setting in settings.by_name.values()} == {"default"}


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    variables = environment(
        tmp_path,
        'pack = "from-file"\ndevice = "cuda"\nthreads = 3\n',
        EMER_EDGE_PACK="from-env",
        EMER_EDGE_DEVICE="tensorrt",
    )
    settings = load_settings({"pack": "from-flag", "device": None}, variables)
    got = {name: (setting.value, setting.source) for name, setting in settings.by_name.items()}
    assert got == {
        "pack": ("from-flag", "flag"),
        "device": ("tensorrt", "environment"),
        "threads": (3, "file"),
        "decoder": ("auto", "default"),
        "packs": (None, "default"),
    }
    assert settings.threads == 3
    assert settings.text("packs") is None


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert load_settings({}, environment(tmp_path, EMER_EDGE_PACK="")).text("pack") == "emer-nano"


@pytest.mark.parametrize(
    "text",
    [
        *("pack = ", "pack = 3", "pack = ''", "colour = 'red'", "device = 'gpu'"),
        *("threads = 0", "threads = true", "threads = 1.5"),
        *(b"\xff\xfe", "x = " + "[" * 5000, "#" * (FILE_BYTES + 1)),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(InputError) as caught:
        load_settings({}, environment(tmp_path, text))
    assert "config.toml" in str(caught.value)


@pytest.mark.parametrize("variables", [{"EMER_EDGE_THREADS": "many"}, {"EMER_EDGE_DECODER": "vlc"}])
def test_bad_variables_are_refused(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        load_settings({}, environment(tmp_path, **variables))
    assert next(iter(variables)) in caught.value.why


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    config_path(environment(tmp_path)).mkdir(parents=True)
    with pytest.raises(InputError):
        load_settings({}, environment(tmp_path))


def test_a_relative_config_home_is_ignored() -> None:
    assert config_path({"XDG_CONFIG_HOME": "here"}) == Path.home() / ".config/emer-edge/config.toml"

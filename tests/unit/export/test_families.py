"""Definitions are data: strict, extended by one another, and a new model is one small file."""

from __future__ import annotations

from pathlib import Path

import pytest

from emer_edge.errors import InputError
from emer_export.families import family_names, load_family


def test_every_definition_loads() -> None:
    assert family_names() == ("affectgpt", "affectgpt-emer", "light-mer")
    for name in family_names():
        family = load_family(name)
        assert family.name == name
        assert family.look(None) in family.looks.values()
    for name in ("affectgpt", "light-mer"):
        family = load_family(name)
        assert set(family.looks) == {"faces", "frames"}
        assert family.look(None) == family.looks["faces"]


def test_light_mer_is_affectgpt_with_smaller_parts() -> None:
    small, large = load_family("light-mer"), load_family("affectgpt")
    assert small.manifest == large.manifest
    assert small.widths == {"vision": 512, "audio": 768, "model": 1024}
    assert small.models["llm"] == "Qwen3-0.6B"


def test_a_new_model_is_one_small_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nextends = "light-mer"\ndescription = "Mine."\n'
        '[manifest.labels]\nat_most = 2\n[models]\nllm = "my-llm"\n'
    )
    family = load_family(path)
    assert (family.name, family.models["llm"], family.models["audio"]) == (
        "mine",
        "my-llm",
        "chinese-hubert-base",
    )
    assert family.manifest["labels"]["at_most"] == 2
    assert family.manifest["labels"]["candidates"], "what is not said comes from below"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nextends = "light-mer"\nprompts = 1\n', "prompts"),
        ('name = "x"\nextends = "unknown"\n', "unknown"),
        ('name = "x"\nextends = "../affectgpt"\n', "affectgpt"),
        ('name = "x"\ndescription = "y"\n', "not complete"),
        ('name = "x"\nextends = "light-mer"\n[looks]\ndefault = "both"\n', "both"),
        ("name = [", "can't be read"),
    ],
)
def test_a_wrong_definition_is_said_to_be_wrong(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_family(path)
    assert said in str(caught.value)


def test_an_unknown_family_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="resnet") as caught:
        load_family("resnet")
    assert "affectgpt, affectgpt-emer, light-mer" in caught.value.why


def test_the_example_of_the_page_is_a_definition(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    example = page.split("```toml\n")[1].split("```")[0]
    assert len(example.splitlines()) < 60
    path = tmp_path / "my-mer.toml"
    path.write_text(example)
    family = load_family(path)
    assert family.default_look == "frames"
    assert family.look("frames").frames["source"] == "frames"
    assert family.manifest["preprocessing"]["audio"]["center"] == "none"
    assert family.manifest["preprocessing"]["audio"]["normalise"] == "joint"

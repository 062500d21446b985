"""What is known about each family of models: which graphs, which prompt, which preprocessing.

Knows the definitions in this folder and how one extends another. Does not know torch, checkpoints or packs:
what the manifest of a pack may say is checked by its own parser, once the sizes are known.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emer_edge.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent
_BYTES = 1024 * 1024
_DEPTH = 4
_KEYS = frozenset(
    ("name", "extends", "description", "licence", "models", "graphs", "widths", "lora", "looks", "manifest")
)
PARTS = ("vision", "audio", "llm")
"""What a model is made of, beside its fusion head."""


@dataclass(frozen=True)
class Look:
    """How a model looks at a clip.

    `vision_text` is its sentence in the prompt, `frames` what it says in `preprocessing.frames`.
    """

    vision_text: str
    frames: Mapping[str, Any]


@dataclass(frozen=True)
class Family:
    """One definition.

    `models` maps vision, audio, llm and, where there is one, qformer to the names they are published under;
    `graphs` maps vision and audio to a graph and llm to the architectures it may have; `widths` are the
    published ones. `manifest` holds the sections of a manifest that no file can tell. `alpha` over the rank
    is the adapter's scale.
    """

    name: str
    description: str
    licence: Mapping[str, str]
    models: Mapping[str, str]
    graphs: Mapping[str, Any]
    widths: Mapping[str, int]
    alpha: float
    looks: Mapping[str, Look]
    default_look: str
    manifest: Mapping[str, Any]

    def look(self, name: str | None) -> Look:
        """The look of that name, or the default one. Raises InputError for an unknown name."""
        name = name or self.default_look
        if name not in self.looks:
            raise InputError(
                f"{self.name} has no look {name!r}.", todo=f"Use one of {', '.join(sorted(self.looks))}."
            )
        return self.looks[name]


def family_names() -> tuple[str, ...]:
    """The families that are defined here."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_family(name: str | Path) -> Family:
    """A family by its name, or from a definition file.

    Raises:
        InputError: no such family, or a definition that is not TOML, lacks a key or has an unknown one.
    """
    data = _read(str(name), _DEPTH)
    try:
        return _family(data)
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"The definition of {data.get('name', name)!r} is not complete.",
            f"{type(error).__name__}: {error}",
            "Compare it with the families that come with emer-edge.",
        ) from error


def _family(data: dict[str, Any]) -> Family:
    looks = dict(data["looks"])
    default = looks.pop("default")
    found = {name: Look(str(look["vision_text"]), dict(look["frames"])) for name, look in looks.items()}
    if default not in found:
        raise InputError(f"The definition of {data['name']} has no look {default!r}.", "It is the default.")
    strange = sorted(set(data["models"]) - {*PARTS, "qformer"})
    if strange:
        raise KeyError(f"models.{strange[0]} is not known")
    for part in PARTS:
        if part not in data["models"] or part not in data["graphs"]:
            raise KeyError(part)
    return Family(
        name=str(data["name"]),
        description=str(data["description"]),
        licence={key: str(data["licence"][key]) for key in ("id", "note")},
        models={part: str(name) for part, name in data["models"].items()},
        graphs=dict(data["graphs"]),
        widths={key: int(data["widths"][key]) for key in ("vision", "audio", "model")},
        alpha=float(data["lora"]["alpha"]),
        looks=found,
        default_look=str(default),
        manifest=dict(data["manifest"]),
    )


def _read(name: str, depth: int) -> dict[str, Any]:
    """One definition with what it extends laid under it."""
    built_in = _FOLDER / f"{name}.toml"
    path = built_in if name in family_names() else Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise InputError(
            f"No family is called {name!r}.",
            f"Known are {', '.join(family_names())}.",
            "Give one of these, or the path of a definition that ends in .toml.",
        )
    if path.stat().st_size > _BYTES:
        raise InputError(f"{path.name} is too large for a definition.", f"More than {_BYTES} bytes.")
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path.name} can't be read.", str(error), "Correct the definition.") from error
    unknown = sorted(set(own) - _KEYS)
    if unknown:
        raise InputError(f"{path.name} has unknown keys.", ", ".join(unknown), "Correct the definition.")
    base = own.pop("extends", None)
    if base is None:
        return own
    if not isinstance(base, str) or base not in family_names() or depth == 0:
        raise InputError(
            f"{path.name} extends {base!r}.", f"Known are {', '.join(family_names())}.", "Correct the name."
        )
    return _laid(_read(base, depth - 1), own)


def _laid(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on `under`: tables are merged, everything else is replaced."""
    merged = copy.deepcopy(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _laid(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged

"""The manifest: what is read, and that everything else is refused, by the parser and by the schema alike."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from emer_edge.errors import EmerError, LimitError, PackError, PackNotFoundError
from emer_edge.limits import Limits
from emer_edge.packs.manifest import load_manifest, parse_manifest
from emer_edge.packs.records import QuoteMarks
from emer_edge.packs.verify import BUILTIN, verify_pack
from tests.data.make_pack import alone_rule, make_stub_pack

Json = dict[str, Any]


def parse(value: Any, limits: Limits | None = None) -> Any:
    return parse_manifest(json.dumps(value).encode(), limits or Limits())


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    text = (resources.files("emer_edge") / "schemas" / "manifest.schema.json").read_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(text))
    return jsonschema.Draft202012Validator(json.loads(text))


@pytest.fixture
def full(manifest: Json) -> Json:
    """The stub's manifest with every field that may be left out."""
    manifest["generation"]["quotes"] = {"open": '"...', "close": ' ..."'}
    manifest["labels"] |= {"temperature": 1.7, "when_unclear": "surprised"}
    manifest["labels"]["sentiment"]["neutral"] = ["neutral"]
    manifest["labels"]["alone"] = alone_rule()
    manifest["prompt"]["questions"]["explain"] += " It is {labels}. Alone: {alone}."
    graph = manifest["encoders"]["vision"]["files"]["fp32"]["path"]
    manifest["engines"] = [
        {
            "encoder": "vision",
            "precision": "fp32",
            "path": "vision.fp32.tensorrt-rtx.engine",
            "onnx_sha256": next(file["sha256"] for file in manifest["files"] if file["path"] == graph),
            "library": "tensorrt-rtx",
            "version": "1.7.1.116",
            "architectures": ["sm86", "sm120"],
            "driver": "",
        }
    ]
    manifest["encoders"]["audio"]["files"]["fp32"]["data"] = "audio.fp32.onnx.data"
    for path in ("vision.fp32.tensorrt-rtx.engine", "audio.fp32.onnx.data"):
        manifest["files"].append({"path": path, "size_bytes": 1, "sha256": "0" * 64})
    return manifest


def _objects(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The addresses of all objects below `value`."""
    found: list[tuple[Any, ...]] = [path] if isinstance(value, dict) else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        found += _objects(item, (*path, key))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def test_everything_in_the_stub_is_read(manifest: Json) -> None:
    got = parse(manifest)
    assert (got.name, got.version, got.family) == ("stub", "0.1.0", "affectgpt")
    assert got.licence.id == "CC0-1.0"
    assert got.preprocessing.frames.mean == (0.5, 0.5, 0.5)
    assert got.preprocessing.frames.faces is None
    assert got.preprocessing.audio.window_seconds == 2.0
    assert got.encoders.vision.files["fp32"].input.shape == (8, 3, 48, 48)
    assert got.encoders.audio.files[got.encoders.audio.default].output.name == "embeddings"
    assert (got.fusion.kind, got.fusion.model_dim) == ("attention", 64)
    assert got.llm.files["F32"].path == "llm.F32.gguf"
    assert got.prompt.parts[1].needs == ("vision", "audio")
    assert got.prompt.markers["<MultiHere>"] == "multi"
    assert got.labels.sentiment.positive == ("happy",)
    assert got.clues["voice"][0] == "voice"
    assert got.generation.stop == ("###",)
    assert got.size_bytes == sum(file.size_bytes for file in got.files)


def test_what_a_manifest_may_leave_out_has_its_default(manifest: Json) -> None:
    got = parse(manifest)
    assert (got.labels.temperature, got.labels.when_unclear, got.generation.quotes) == (1.0, None, None)
    assert got.labels.alone is None
    assert not got.prompt.needs_labels("explain")
    assert got.encoders.vision.files["fp32"].data == ""


def test_quotes_calibration_and_told_labels_are_read(
    full: Json, schema: jsonschema.Draft202012Validator
) -> None:
    schema.validate(full)
    got = parse(full)
    assert got.generation.quotes == QuoteMarks('"...', ' ..."')
    assert (got.labels.temperature, got.labels.when_unclear) == (1.7, "surprised")
    assert got.prompt.needs_labels("explain")
    assert not got.prompt.needs_labels("labels")
    assert not got.prompt.needs_labels("Why {labels}?")  # free words, not a name


def test_how_modalities_are_read_alone(full: Json) -> None:
    rule = parse(full).labels.alone
    assert rule is not None
    assert (rule.names["audio"], rule.sure, rule.unsure, rule.quiet) == ("voice", 0.4, "unsure", ("neutral",))
    full["prompt"]["questions"]["explain"] = "Why, when {alone}?"
    assert parse(full).prompt.needs_labels("explain")


def test_what_is_told_of_modalities_alone_must_be_read(full: Json) -> None:
    del full["labels"]["alone"]
    with pytest.raises(PackError, match=r"questions\.explain holds \{alone\}"):
        parse(full)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("quiet", ["no candidate"]), ("sure", 1.5), ("unsure", ""), ("names", {"vision": "face"})],
)
def test_a_wrong_rule_for_modalities_alone_is_refused(full: Json, field: str, wrong: Any) -> None:
    full["labels"]["alone"][field] = wrong
    with pytest.raises(PackError, match=r"labels\.alone"):
        parse(full)


@pytest.mark.parametrize(
    "words", ["{mood}", "{}", "{labels2}", "{ labels }", "{subtitle}", "{labels} {question}"]
)
def test_an_unknown_field_in_a_question_says_what_why_and_what_to_do(manifest: Json, words: str) -> None:
    manifest["prompt"]["questions"]["explain"] = f"Why {words}?"
    with pytest.raises(PackError) as caught:
        parse(manifest)
    assert "prompt.questions.explain" in caught.value.what
    assert "{labels}" in caught.value.why
    assert caught.value.todo


def test_braces_that_are_no_field_stay(manifest: Json) -> None:
    manifest["prompt"]["questions"]["explain"] = 'Answer as {"label": "..."}, {a, b}.'
    assert parse(manifest).prompt.questions["explain"].endswith("{a, b}.")


def test_a_face_pack_says_how_faces_are_aligned(tmp_path: Path) -> None:
    folder = make_stub_pack(tmp_path / "stub", frames_source="faces")
    faces = load_manifest(folder, Limits()).preprocessing.frames.faces
    assert faces is not None
    assert faces.align.left_eye == (0.31, 0.38)
    assert faces.minimum_share == 0.25


@pytest.mark.parametrize("source", ["frames", "faces"])
def test_the_schema_takes_the_stub(
    schema: jsonschema.Draft202012Validator, tmp_path: Path, source: str
) -> None:
    folder = make_stub_pack(tmp_path / "stub", frames_source=source)
    schema.validate(json.loads((folder / "manifest.json").read_text()))


def test_built_in_packs_are_sound_and_fit_the_schema(schema: jsonschema.Draft202012Validator) -> None:
    for folder in BUILTIN.iterdir():
        if (folder / "manifest.json").is_file():
            assert verify_pack(folder, Limits()).name == folder.name
            schema.validate(json.loads((folder / "manifest.json").read_text()))


@pytest.mark.parametrize("which", ["manifest", "full"])
def test_unknown_and_missing_fields_are_refused_everywhere(
    which: str, request: pytest.FixtureRequest, schema: jsonschema.Draft202012Validator
) -> None:
    """Parser and schema agree on every object: neither takes a field more or, optional ones aside, less."""
    chosen = {"files", "questions", "markers"}  # objects whose keys the pack chooses
    free = {"evaluation", "parity"}
    optional = {"needs", "face", "voice", "words", "scene", "evaluation", "parity", "quotes", "when_unclear"}
    optional |= {"engines", "data", "alone"}
    manifest = request.getfixturevalue(which)
    checked = 0
    for path in _objects(manifest):
        if path and (path[-1] in chosen or path[0] in free):
            continue
        more = copy.deepcopy(manifest)
        _at(more, path)["surprise"] = 1
        with pytest.raises(PackError):
            parse(more)
        assert not schema.is_valid(more), path
        for key in _at(manifest, path):
            less = copy.deepcopy(manifest)
            del _at(less, path)[key]
            if key in optional or (path, key) == (("labels",), "temperature"):
                assert schema.is_valid(less), (path, key)
                continue
            with pytest.raises(PackError):
                parse(less)
            assert not schema.is_valid(less), (path, key)
            checked += 1
    assert checked > 80


def test_no_field_takes_another_type(full: Json, schema: jsonschema.Draft202012Validator) -> None:
    """Each value of the stub is replaced by values of other types: what the parser takes the schema takes."""

    def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        pairs = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        return [path, *(leaf for key, item in pairs for leaf in leaves(item, (*path, key)))]

    for path in leaves(full)[1:]:
        for wrong in WRONG:
            mutant = copy.deepcopy(full)
            _at(mutant, path[:-1])[path[-1]] = wrong
            try:
                parse(mutant)
            except EmerError:
                continue
            assert schema.is_valid(mutant), f"the parser takes {wrong!r} at {path}, the schema does not"


WRONG: tuple[Any, ...] = (None, True, -1, 1e300, "", "\u0000", [], {}, [[]])


def edit(path: str, value: Any) -> Callable[[Json], None]:
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]

    def run(data: Json) -> None:
        _at(data, tuple(parents))[last] = value

    return run


LIES: dict[str, Callable[[Json], None]] = {
    "another major version": edit("schema_version", "2.0"),
    "no version at all": edit("schema_version", "one"),
    "a name with a slash": edit("name", "../evil"),
    "a name in capitals": edit("name", "Evil"),
    "an absolute path": edit("fusion/path", "/etc/passwd.safetensors"),
    "a path that climbs": edit("fusion/path", "../x.safetensors"),
    "a path that climbs inside": edit("card", "a/../../x"),
    "a Windows path": edit("card", "..\\x"),
    "a drive": edit("card", "C:x"),
    "a hidden file": edit("card", ".x"),
    "a path with a line break": edit("card", "x\n"),
    "a path with an empty part": edit("card", "a//b"),
    "an endless path": edit("card", "a" * 300),
    "another suffix": edit("fusion/path", "vision.fp32.onnx"),
    "no frames": edit("preprocessing/frames/count", 0),
    "too many frames": edit("preprocessing/frames/count", 65),
    "a huge picture": edit("preprocessing/frames/height", 100_000),
    "a division by zero": edit("preprocessing/frames/std", [0.0, 1.0, 1.0]),
    "two channels": edit("preprocessing/frames/mean", [0.5, 0.5]),
    "faces without alignment": edit("preprocessing/frames/source", "faces"),
    "an unknown rule": edit("preprocessing/frames/rule", "random"),
    "too many windows": edit("preprocessing/audio/windows", 10_000),
    "an endless window": edit("preprocessing/audio/window_seconds", 1e9),
    "windows of another length": edit("preprocessing/audio/window_seconds", 1.0),
    "pictures of another size": edit("preprocessing/frames/height", 64),
    "a precision that is not there": edit("encoders/vision/default", "int8"),
    "an encoder of another width": edit("encoders/vision/dim", 32),
    "a fusion of another width": edit("fusion/vision_dim", 32),
    "a model of another width": edit("llm/n_embd", 32),
    "an unknown fusion": edit("fusion/kind", "qformer"),
    "a quantisation that is not there": edit("llm/default", "Q2_K"),
    "a whole number that is a float": edit("llm/n_ctx", 1024.5),
    "a number that is true": edit("llm/n_ctx", True),
    "a context of one": edit("llm/n_ctx", 1),
    "no question": edit("prompt/parts/6/text", "###Assistant: "),
    "a question that may be left out": edit("prompt/parts/6/needs", ["audio"]),
    "two questions": edit("prompt/parts/0/text", "{question}"),
    "an unknown placeholder": edit("prompt/parts/0/text", "{system}"),
    "a marker without its modality": edit("prompt/parts/2/needs", []),
    "a subtitle that may be missing": edit("prompt/parts/4/needs", []),
    "an unknown need": edit("prompt/parts/2/needs", ["audio", "smell"]),
    "a need twice": edit("prompt/parts/2/needs", ["audio", "audio"]),
    "a marker for nothing": edit("prompt/markers", {"<MultiHere>": "image"}),
    "a marker in no part": edit("prompt/markers/<Nowhere>", "audio"),
    "a question without words": edit("prompt/questions/labels", ""),
    "labels without a question": edit("labels/question", "absent"),
    "a label twice": edit("labels/candidates", ["happy", "happy"]),
    "an empty label": edit("labels/candidates", ["happy", ""]),
    "a sentiment of an unknown label": edit("labels/sentiment/positive", ["overjoyed"]),
    "a label of two sentiments": edit("labels/sentiment/negative", ["happy"]),
    "a confidence above one": edit("labels/report_above", 1.5),
    "a temperature of nothing": edit("labels/temperature", 0),
    "a temperature below nothing": edit("labels/temperature", -1.0),
    "a temperature without end": edit("labels/temperature", 1e9),
    "a temperature that is no number": edit("labels/temperature", "1.0"),
    "a temperature that is true": edit("labels/temperature", True),
    "no temperature at all": edit("labels/temperature", None),
    "a temperature that is not a number": edit("labels/temperature", float("nan")),
    "a temperature that is infinite": edit("labels/temperature", float("inf")),
    "unclear that is no candidate": edit("labels/when_unclear", "unclear"),
    "unclear that is no text": edit("labels/when_unclear", ["neutral"]),
    "unclear that is nothing": edit("labels/when_unclear", None),
    "unclear that is a sentiment": edit("labels/when_unclear", "happy"),
    "labels that are told before they are chosen": edit("prompt/questions/labels", "It is {labels}?"),
    "quotes without marks": edit("generation/quotes", {}),
    "quotes that are no object": edit("generation/quotes", '"'),
    "quotes that are nothing": edit("generation/quotes", None),
    "a quote that never ends": edit("generation/quotes", {"open": '"'}),
    "an empty opening mark": edit("generation/quotes", {"open": "", "close": '"'}),
    "an empty closing mark": edit("generation/quotes", {"open": '"', "close": ""}),
    "a mark of white space": edit("generation/quotes", {"open": '"', "close": "  "}),
    "a mark that begins with white space": edit("generation/quotes", {"open": ' "', "close": '"'}),
    "a mark that ends with white space": edit("generation/quotes", {"open": '"', "close": '" '}),
    "a mark of letters": edit("generation/quotes", {"open": "quote:", "close": '"'}),
    "a mark with a line break": edit("generation/quotes", {"open": '"', "close": '\n"'}),
    "a mark with a control character": edit("generation/quotes", {"open": '"\x00', "close": '"'}),
    "a mark that stands for broken bytes": edit("generation/quotes", {"open": '"', "close": "\ufffd"}),
    "an endless mark": edit("generation/quotes", {"open": '"' * 17, "close": '"'}),
    "a mark that is a number": edit("generation/quotes", {"open": 1, "close": '"'}),
    "a third mark": edit("generation/quotes", {"open": '"', "close": '"', "nested": "'"}),
    "too many tokens": edit("generation/max_new_tokens", 1_000_000),
    "an empty stop": edit("generation/stop", [""]),
    "a broken hash": edit("files/0/sha256", "0" * 63),
    "a hash in capitals": edit("files/0/sha256", "A" * 64),
    "a negative size": edit("files/0/size_bytes", -1),
    "the manifest lists itself": edit("files/0/path", "manifest.json"),
    "a file that is not listed": edit("card", "OTHER.md"),
    "a file twice": edit("files/0/path", "card.md"),
    "no files": edit("files", []),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(manifest: Json, lie: str) -> None:
    LIES[lie](manifest)
    with pytest.raises(PackError) as caught:
        parse(manifest)
    assert caught.value.what
    assert caught.value.todo


def test_a_higher_minor_version_is_taken(manifest: Json) -> None:
    manifest["schema_version"] = "1.7"
    assert parse(manifest).schema_version == "1.7"


BROKEN_TEXTS: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"hello",
    "no object": b"[]",
    "not UTF-8": b'{"name": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "a key twice": b'{"name": "a", "name": "b"}',
    "NaN": b'{"name": NaN}',
    "infinity": b'{"name": -Infinity}',
    "a number that overflows": b'{"name": 1e999}',
    "a number of many digits": b'{"name": ' + b"9" * 10_000 + b"}",
    "a deep list": b"[" * 100_000,
    "a deep object": b'{"a":' * 200 + b"1" + b"}" * 200,
    "cut off": b'{"name": "stub"',
}


@pytest.mark.parametrize("name", BROKEN_TEXTS)
def test_broken_json_is_refused(name: str) -> None:
    with pytest.raises(PackError):
        parse_manifest(BROKEN_TEXTS[name], Limits())


def test_ceilings_are_kept(manifest: Json, stub: Path) -> None:
    with pytest.raises(LimitError):
        load_manifest(stub, Limits(manifest_bytes=100))
    with pytest.raises(LimitError):
        parse(manifest, Limits(pack_bytes=1000))
    # What a caller allows for one clip says nothing about the pack.
    assert parse(manifest, Limits(frames=4, new_tokens=8)) == parse(manifest, Limits())


def test_the_manifest_is_a_file_of_the_pack(stub: Path, tmp_path: Path) -> None:
    with pytest.raises(PackNotFoundError):
        load_manifest(tmp_path / "absent", Limits())
    with pytest.raises(PackNotFoundError):
        load_manifest(stub / "CARD.md", Limits())
    (stub / "manifest.json").rename(tmp_path / "elsewhere.json")
    (stub / "manifest.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(PackError):
        load_manifest(stub, Limits())
    (stub / "manifest.json").unlink()
    (stub / "manifest.json").mkdir()
    with pytest.raises(PackError):
        load_manifest(stub, Limits())

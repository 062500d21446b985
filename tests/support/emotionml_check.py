"""A strict check of EmotionML 1.0 documents, written from the Recommendation; knows nothing of our writer.

The numbers are those of the test assertions in the W3C's implementation report
(http://www.w3.org/2002/mmi/2013/emotionml-ir/). Only the vocabularies that we refer to are known.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

NS = "{http://www.w3.org/2009/10/emotionml}"
KNOWN = {
    "http://www.w3.org/TR/emotion-voc/xml#big6": (
        "category",
        {"anger", "disgust", "fear", "happiness", "sadness", "surprise"},
    ),
    "http://www.w3.org/TR/emotion-voc/xml#fsre-dimensions": (
        "dimension",
        {"valence", "potency", "arousal", "unpredictability"},
    ),
}
DESCRIPTIONS = ("category", "dimension", "appraisal", "action-tendency")
THROUGH = {"gaze", "face", "head", "torso", "gesture", "leg", "voice", "text", "locomotion", "posture"}
NCNAME = re.compile(r"[^\W\d][\w.\-]*\Z")
NMTOKEN = re.compile(r"[\w.\-:]+\Z")
EMOTION_ATTRIBUTES = {
    "id", "version", "start", "end", "duration", "time-ref-uri", "time-ref-anchor-point", "offset-to-start",
    "expressed-through", *(f"{name}-set" for name in DESCRIPTIONS),
}  # fmt: skip


class EmotionMLError(AssertionError):
    """The document breaks an assertion; the message begins with its number."""


def check(text: str) -> Xml.Element:
    """The root of a valid document.

    Raises:
        EmotionMLError: the document breaks an assertion.
    """
    root = Xml.fromstring(text.encode("utf-8"))
    _hold(root.tag == f"{NS}emotionml", 101, "root element and namespace")
    _hold(root.get("version") == "1.0", 111, "version")
    _hold(set(root.attrib) <= {"version", *(f"{name}-set" for name in DESCRIPTIONS)}, 100, "attributes")
    ids = [element.get("id") for element in root.iter() if element.tag.startswith(NS) and element.get("id")]
    _hold(len(ids) == len(set(ids)), 174, "ids are unique in the document")
    _hold(all(NCNAME.match(name or "") for name in ids), 174, "ids are of type xsd:ID")
    children = [_name(child) for child in root]
    _hold(set(children) <= {"info", "vocabulary", "emotion"}, 103, f"children {set(children)}")
    _hold("info" not in children[1:], 105, "one <info>, and first")
    _hold(not (root.text or "").strip(), 100, "no loose text")
    sets = dict(KNOWN)
    for vocabulary in root.iterfind(f"{NS}vocabulary"):
        sets[f"#{vocabulary.get('id')}"] = _vocabulary(vocabulary)
    for emotion in root.iterfind(f"{NS}emotion"):
        _emotion(emotion, root, sets)
    for info in root.iter(f"{NS}info"):
        _hold(not any(child.tag.startswith(NS) for child in info.iter() if child is not info), 304, "<info>")
        _hold(all(child.tag.startswith("{") for child in info), 304, "<info> holds other namespaces")
        _hold(set(info.attrib) <= {"id"}, 306, "attributes of <info>")
    return root


def _vocabulary(vocabulary: Xml.Element) -> tuple[str, set[str]]:
    _hold(set(vocabulary.attrib) == {"type", "id"}, 602, "a <vocabulary> has type and id")
    _hold(vocabulary.get("type") in DESCRIPTIONS, 603, "type of the <vocabulary>")
    items = [child for child in vocabulary if _name(child) == "item"]
    _hold(bool(items) and len(items) + len(vocabulary.findall(f"{NS}info")) == len(vocabulary), 600, "items")
    names = [item.get("name") or "" for item in items]
    _hold(all(NMTOKEN.match(name) for name in names), 607, f"names of items {names}")
    _hold(len(names) == len(set(names)), 608, "names of items are unique")
    return vocabulary.get("type") or "", set(names)


def _emotion(emotion: Xml.Element, root: Xml.Element, sets: dict[str, tuple[str, set[str]]]) -> None:
    _hold(set(emotion.attrib) <= EMOTION_ATTRIBUTES, 150, f"attributes {set(emotion.attrib)}")
    order = ["info" if _name(c) == "info" else "ref" if _name(c) == "reference" else "d" for c in emotion]
    _hold(order == sorted(order, key=["info", "d", "ref"].index), 151, "order of children")
    _hold(order.count("info") <= 1, 155, "one <info>")
    _hold("d" in order, 156, "an <emotion> describes something")
    for kind in DESCRIPTIONS:
        found = emotion.findall(f"{NS}{kind}")
        names = [one.get("name") or "" for one in found]
        _hold(len(names) == len(set(names)), 212, f"names of {kind} are unique")
        uri = emotion.get(f"{kind}-set", root.get(f"{kind}-set"))
        if uri is not None:
            _hold(uri in sets and sets[uri][0] == kind, 161, f"{uri} is a vocabulary of {kind}")
        if found:
            _hold(uri is not None, 210, f"a {kind}-set is declared")
            _hold(set(names) <= sets[uri or ""][1], 211, f"{names} are of {uri}")
        for one in found:
            _hold(set(one.attrib) <= {"name", "value", "confidence"} and not len(one), 213, "attributes")
            _hold(kind != "dimension" or "value" in one.attrib, 224, "a <dimension> has a value")
            for key in ("value", "confidence"):
                text = one.get(key)
                _hold(
                    text is None or 0.0 <= float(text) <= 1.0, 500 if key == "value" else 300, f"{key} {text}"
                )
    _times(emotion, root)
    through = emotion.get("expressed-through")
    _hold(through is None or (through != "" and set(through.split()) <= THROUGH), 301, f"through {through}")
    for reference in emotion.iterfind(f"{NS}reference"):
        _hold(bool(reference.get("uri")), 410, "a <reference> has a uri")
        roles = {"expressedBy", "experiencedBy", "triggeredBy", "targetedAt"}
        _hold(reference.get("role", "expressedBy") in roles, 414, "role")
    _hold(emotion.get("version", "1.0") == "1.0", 172, "version of <emotion>")


def _times(emotion: Xml.Element, root: Xml.Element) -> None:
    for number, key in ((420, "start"), (421, "end"), (422, "duration")):
        _hold(re.fullmatch(r"\d+", emotion.get(key, "0")) is not None, number, key)
    _hold(re.fullmatch(r"-?\d+", emotion.get("offset-to-start", "0")) is not None, 425, "offset-to-start")
    _hold(emotion.get("time-ref-anchor-point", "start") in ("start", "end"), 424, "anchor")
    if "start" in emotion.attrib and "end" in emotion.attrib:
        _hold(int(emotion.attrib["end"]) >= int(emotion.attrib["start"]), 421, "end after start")
    reference = emotion.get("time-ref-uri", "")
    _hold(not re.search(r"\s", reference), 423, "time-ref-uri is a URI")
    if reference.startswith("#"):
        _hold(root.find(f".//*[@id='{reference[1:]}']") is not None, 423, f"{reference} is in the document")


def _name(element: Xml.Element) -> str:
    _hold(element.tag.startswith(NS), 700, f"{element.tag} is of the namespace")
    return element.tag[len(NS) :]


def _hold(holds: bool, number: int, what: str) -> None:
    if not holds:
        raise EmotionMLError(f"{number}: {what}")

"""`emer-edge bridge`: what is refused before anything is opened, and what the flags become."""

from __future__ import annotations

from typing import Any

import pytest

from emer_edge.cli import bridge


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("dds", "--face-id", "1a"), "no identifier"),
        (("dds", "--listen-to", "smell"), "no inputs"),
        (("dds", "--listen-to", ","), "Nothing would be read"),
        (("dds", "--domain-id", "300"), "domain_id"),
        (("dds", "--channels", "0"), "channels"),
        (("zenoh", "--listen", "tcp/0.0.0.0:7447"), "not on this machine"),
        (("zenoh", "--prefix", "a/*"), "no key"),
        (("zenoh", "--client"), "router"),
        (("zenoh", "--reasoning", "sometimes"), "neither never"),
        (("zenoh", "--hop", "0"), "hop"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_first(run, words: tuple[str, ...], told: str) -> None:
    result = run("bridge", *words)
    assert result.exit_code == 2
    assert told in result.stderr


def caught(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What the bridges would be made with, and the flags of the session."""
    found: list[tuple[Any, dict[str, Any]]] = []

    def stop(make: Any, _where: str, flags: dict[str, Any]) -> int:
        cells = [cell.cell_contents for cell in make.__closure__]
        found.append((next(cell for cell in cells if hasattr(cell, "local_only")), flags))
        return 0

    monkeypatch.setattr(bridge, "_run", stop)
    return found


def test_the_flags_of_ros(run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = caught(monkeypatch)
    words = [
        "--face-id",
        "f1",
        "--voice-id",
        "v1",
        "--image-topic",
        "/camera",
        "--compressed",
        "--announce-face",
    ]
    words += ["--listen-to", "image, speech", "--sample-rate", "48000", "--hop", "1", "--reasoning", "2.5"]
    assert run("bridge", "dds", *words, "--network").exit_code == 0
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    assert run("bridge", "dds").exit_code == 0
    (options, flags), (plain, _) = found
    assert options.inputs == (
        ("/camera", "sensor_msgs/CompressedImage"),
        ("/humans/voices/v1/speech", "hri_msgs/LiveSpeech"),
    )
    assert (options.sample_rate, options.announce_face, options.local_only) == (48_000, True, False)
    assert (flags["hop_seconds"], flags["reasoning"]) == (1.0, 2.5)
    assert (plain.domain_id, plain.local_only) == (7, True)


def test_the_flags_of_zenoh(run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = caught(monkeypatch)
    assert run("bridge", "zenoh").exit_code == 0
    assert run("bridge", "zenoh", "--connect", "tcp/127.0.0.1:1", "--client").exit_code == 0
    assert run("bridge", "zenoh", "--listen", "tcp/0.0.0.0:0", "--network").exit_code == 0
    plain, client, network = (options for options, _ in found)
    assert (plain.listen, plain.local_only) == (("tcp/127.0.0.1:7447",), True)
    assert (client.listen, client.connect, client.client) == ((), ("tcp/127.0.0.1:1",), True)
    assert not network.local_only

"""`emer-edge bridge`: the flags of its verbs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from emer_edge.cli.border import debug_option
from emer_edge.cli.options import PathText, engine_options
from emer_edge.errors import InputError

Decorator = Callable[[Any], Any]


@click.group(name="bridge", short_help="Put a live session into ROS 2, DDS, zenoh or dora.")
def bridge() -> None:
    """Put a live session into a robot's middleware: frames, sound and words in, emotions out.

    Only this machine is talked to unless --network is given. Each verb ends with 0 on Ctrl-C or SIGTERM.
    See docs/bridges.md for topics, keys and formats.

    \b
    Examples:
      emer-edge bridge zenoh --hop 1
      emer-edge bridge dds --face-id f1 --image-topic /camera/image_raw --announce-face --network
      emer-edge bridge ros2 --face-id f1 --reasoning on_change
    """


def _reasoning(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str | float:
    if value in ("never", "on_change"):
        return value
    try:
        return float(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is neither never, on_change nor a number of seconds.") from error


def live_options(command: Any) -> Any:
    """Adds the pack's options and those of the live session."""
    options: list[Decorator] = [
        engine_options,
        click.option(
            "--window",
            "window_seconds",
            type=click.FloatRange(0, 600, min_open=True),
            default=8.0,
            show_default=True,
            metavar="S",
            help="How far back a state looks.",
        ),
        click.option(
            "--hop",
            "hop_seconds",
            type=click.FloatRange(0, 600, min_open=True),
            default=2.0,
            show_default=True,
            metavar="S",
            help="Time between two states.",
        ),
        click.option(
            "--policy",
            type=click.Choice(("drop_oldest", "degrade", "block")),
            default="drop_oldest",
            show_default=True,
            help="What gives way when the model is too slow.",
        ),
        click.option(
            "--reasoning",
            default="never",
            show_default=True,
            callback=_reasoning,
            metavar="WHEN",
            help="When words are asked for: never, on_change, or every so many seconds.",
        ),
        click.option(
            "--record",
            type=PathText(),
            metavar="FILE",
            help="Write the timeline too: one JSON object a line.",
        ),
        click.option("--force", is_flag=True, help="Overwrite the timeline."),
        click.option("--quiet", is_flag=True, help="Say nothing on standard error but errors."),
        debug_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


def ros_options(command: Any) -> Any:
    """Adds the topics of a face, and how they are to be read."""
    options: list[Decorator] = [
        click.option("--face-id", default="emer_edge", show_default=True, metavar="ID", help="Of the face."),
        click.option(
            "--voice-id", default="", metavar="ID", help="Of the voice. [default: that of the face]"
        ),
        click.option(
            "--image-topic", default="", metavar="NAME", help="[default: the face's cropped images]"
        ),
        click.option("--compressed", is_flag=True, help="Images are sensor_msgs/CompressedImage, JPEG."),
        click.option("--audio-topic", default="", metavar="NAME", help="[default: the voice's audio]"),
        click.option("--speech-topic", default="", metavar="NAME", help="[default: the voice's speech]"),
        click.option(
            "--listen-to",
            default="image,audio,speech",
            show_default=True,
            metavar="LIST",
            help="Which inputs are read.",
        ),
        click.option("--sample-rate", type=int, default=16_000, show_default=True, help="Of the sound, Hz."),
        click.option("--channels", type=int, default=1, show_default=True, help="Of the sound."),
        click.option(
            "--announce-face", is_flag=True, help="Publish the face as tracked, where no detector does."
        ),
        click.option(
            "--domain-id",
            type=int,
            default=0,
            envvar="ROS_DOMAIN_ID",
            show_envvar=True,
            show_default=True,
            help="DDS domain.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@bridge.command(short_help="Events and inputs over Eclipse Zenoh.")
@click.option("--prefix", default="emer-edge", show_default=True, metavar="KEY", help="Of every key.")
@click.option(
    "--listen",
    multiple=True,
    metavar="ENDPOINT",
    help="Where to listen; may be repeated. [default: tcp/127.0.0.1:7447, unless --connect is given]",
)
@click.option("--connect", multiple=True, metavar="ENDPOINT", help="Peer or router; may be repeated.")
@click.option("--client", is_flag=True, help="Connect as a client of a router.")
@click.option("--network", is_flag=True, help="Allow other machines, and look for them by multicast.")
@live_options
def zenoh(**flags: Any) -> int:
    """Publish events as JSON below PREFIX/event, and take frames, sound and words below PREFIX/in.

    \b
    Examples:
      emer-edge bridge zenoh
      emer-edge bridge zenoh --prefix robot/head --connect tcp/127.0.0.1:7447 --client
      emer-edge bridge zenoh --listen tcp/0.0.0.0:7447 --network
    """
    from emer_edge.bridges.zenoh import LOOPBACK, ZenohBridge, ZenohOptions

    connect = flags["connect"]
    options = ZenohOptions(
        prefix=flags["prefix"],
        listen=flags["listen"] or (() if connect else (LOOPBACK,)),
        connect=connect,
        local_only=not flags["network"],
        client=flags["client"],
    )
    return _run(lambda: ZenohBridge(options), f"zenoh, below {options.prefix}", flags)


@bridge.command(short_help="The topics of ROS 2 over DDS, without a ROS installation.")
@ros_options
@click.option("--network", is_flag=True, help="Allow other machines; else as ROS_LOCALHOST_ONLY=1.")
@live_options
def dds(**flags: Any) -> int:
    """Take part in a ROS 2 graph over Cyclone DDS, with no ROS installed.

    Reads images, sound and speech, and publishes hri_msgs/Expression and the reasoning on the topics of
    REP-155. ROS nodes need no change.

    \b
    Examples:
      emer-edge bridge dds --face-id f1
      emer-edge bridge dds --image-topic /camera/image_raw --listen-to image --announce-face
      emer-edge bridge dds --face-id f1 --domain-id 7 --network --reasoning on_change
    """
    from emer_edge.bridges.dds import DdsBridge

    options = _ros(flags, local_only=not flags["network"])
    return _run(lambda: DdsBridge(options), f"DDS, {options.topics.expression}", flags)


@bridge.command(short_help="A ROS 2 node, by rclpy.")
@ros_options
@live_options
def ros2(**flags: Any) -> int:
    """Run as a ROS 2 node. Needs a sourced ROS 2 with hri_msgs, and audio_common_msgs for sound.

    Which machines are reached is ROS's own setting, as for every node.

    \b
    Examples:
      emer-edge bridge ros2 --face-id f1
      emer-edge bridge ros2 --image-topic /camera/image_raw --listen-to image --announce-face
      emer-edge bridge ros2 --face-id f1 --reasoning on_change
    """
    from emer_edge.bridges.ros2 import Ros2Bridge

    options = _ros(flags, local_only=False)
    return _run(lambda: Ros2Bridge(options), f"ROS 2, {options.topics.expression}", flags)


@bridge.command(short_help="A node of a dora dataflow.")
@live_options
def dora(**flags: Any) -> int:
    """Run as a node of a dora dataflow, which names this command as its path.

    Inputs: image, audio, text, ask. Outputs: state, token, reasoning, dropped, error.

    \b
    Examples:
      emer-edge bridge dora
      emer-edge bridge dora --hop 1 --policy degrade
      emer-edge bridge dora --reasoning on_change
    """
    from emer_edge.bridges.dora import DoraBridge
    from emer_edge.cli.terminal import say

    # The node comes last: dora starts the dataflow once every node is there.
    with ExitStack() as stack:
        live, sinks = _session(stack, flags)
        counts = DoraBridge().run(live, live, live.close, *sinks).counts
    if not flags["quiet"]:
        say(_told(counts))
    return 0


def _run(make: Callable[[], Any], where: str, flags: dict[str, Any]) -> int:
    """Open the bridge before the pack, since it fails sooner."""
    from emer_edge.bridges.run import run_bridge
    from emer_edge.cli.terminal import say

    quiet = flags["quiet"]
    with ExitStack() as stack:
        opened = stack.enter_context(make())
        live, sinks = _session(stack, flags)
        ready = (lambda: None) if quiet else (lambda: say(f"Listening: {where}"))
        counts = run_bridge(live, opened, *sinks, on_ready=ready)
    if not quiet:
        say(_told(counts))
    return 0


def _told(counts: dict[str, int]) -> str:
    return "Taken: " + (", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing")


def _session(stack: ExitStack, flags: dict[str, Any]) -> tuple[Any, list[Any]]:
    """The live session, and the recorder of its timeline where one is asked for."""
    import emer_edge as ee
    from emer_edge.config import DEFAULTS, load_settings

    chosen = load_settings({name: flags.get(name) for name in DEFAULTS})
    reasoner = stack.enter_context(
        ee.load(
            chosen.text("pack") or "emer-nano",
            device=chosen.text("device") or "cpu",
            threads=chosen.threads,
            decoder=chosen.text("decoder") or "auto",
        )
    )
    names = ("window_seconds", "hop_seconds", "policy", "reasoning")
    live = stack.enter_context(reasoner.live(**{name: flags[name] for name in names}))
    if not flags["record"]:
        return live, []
    from emer_edge.bridges.port import Recording
    from emer_edge.live.record import Recorder, session_record

    first = session_record(reasoner.manifest, live.options)
    recorder = Recorder(Path(flags["record"]), first, overwrite=flags["force"])
    return live, [Recording(stack.enter_context(recorder))]


def _ros(flags: dict[str, Any], *, local_only: bool) -> Any:
    from emer_edge.bridges.ros_inputs import RosOptions
    from emer_edge.bridges.ros_types import Topics

    listen_to = tuple(part.strip() for part in flags["listen_to"].split(",") if part.strip())
    if not listen_to:
        raise InputError("Nothing would be read.", todo="Name some of image, audio, speech in --listen-to.")
    return RosOptions(
        topics=Topics(flags["face_id"], flags["voice_id"]),
        image_topic=flags["image_topic"],
        compressed=flags["compressed"],
        audio_topic=flags["audio_topic"],
        speech_topic=flags["speech_topic"],
        listen_to=listen_to,
        sample_rate=flags["sample_rate"],
        channels=flags["channels"],
        announce_face=flags["announce_face"],
        domain_id=flags["domain_id"],
        local_only=local_only,
    )

"""A ROS 2 node between topics and a live session, by rclpy. The only place that imports rclpy.

rclpy comes with a ROS 2 installation and not from PyPI. Without one, `dds.DdsBridge` speaks to ROS nodes all
the same.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from typing import Any

from emer_edge.bridges.port import Inputs
from emer_edge.bridges.ros_inputs import RosInputs, RosOptions
from emer_edge.bridges.ros_types import TRACKED_FACES
from emer_edge.bridges.ros_values import event_messages, header
from emer_edge.errors import DeviceError
from emer_edge.live.events import LiveEvent

NODE_NAME = "emer_edge"
_DEPTH = 10
_WAKE_SECONDS = 0.2


class RclpyMessages:
    """Makes messages as the types of the ROS installation."""

    def type(self, name: str) -> Any:
        """The type of the message `name`, for example `hri_msgs/Expression`.

        Raises:
            DeviceError: its package is not installed.
        """
        package, _, message = name.partition("/")
        try:
            return getattr(importlib.import_module(f"{package}.msg"), message)
        except (ImportError, AttributeError) as error:
            raise DeviceError(
                f"The ROS message {name} is not installed.",
                str(error),
                f"sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}",
            ) from error

    def make(self, name: str, **fields: Any) -> Any:
        """The message `name` with these fields."""
        return self.type(name)(**fields)


class Ros2Bridge:
    """A node that publishes events as `hri_msgs/Expression` and feeds a session from topics.

    Quality of service: what is written is reliable, keep last 10; images are read best-effort, the newest
    only; sound and words reliably. Messages without a time get the node's clock, so that simulated time
    holds. Callbacks convert and push, and never wait for the model. A context manager.

    Raises:
        DeviceError: no ROS 2 is sourced, or a package of messages is missing.
    """

    def __init__(self, options: RosOptions, *, node_name: str = NODE_NAME) -> None:
        self._rclpy, self._qos = _import_rclpy()
        self._options, self._ros = options, RclpyMessages()
        types = {name: self._ros.type(name) for _, name in (*options.inputs, *options.outputs)}
        self._context = self._rclpy.context.Context()
        self._rclpy.init(context=self._context, domain_id=options.domain_id or None)
        self._node = self._rclpy.create_node(node_name, context=self._context)
        reliable = self._profile("RELIABLE", _DEPTH)
        self._publishers = {
            topic: self._node.create_publisher(types[name], topic, reliable)
            for topic, name in options.outputs
        }
        self._announcer = None
        if options.announce_face:
            ids = self._ros.type("hri_msgs/IdsList")
            self._announcer = self._node.create_publisher(ids, TRACKED_FACES, reliable)
        self._executor = self._rclpy.executors.SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def send(self, event: LiveEvent) -> None:
        """Publish what one event becomes; see `ros_values.event_messages`."""
        for topic, _, message in event_messages(event, self._options.topics, self._ros):
            self._publishers[topic].publish(message)
        if self._announcer is not None and event.kind == "state":
            stamped = header(self._ros, event.end_pts_seconds, "")  # type: ignore[union-attr]
            face = self._options.topics.face_id
            self._announcer.publish(self._ros.make("hri_msgs/IdsList", header=stamped, ids=[face]))

    def listen(self, session: Inputs) -> RosInputs:
        """Feed the session from the input topics, in a thread of its own; returns the counts."""
        clock = self._node.get_clock()
        inputs = RosInputs(session, self._options, now=lambda: float(clock.now().nanoseconds) * 1e-9)
        for topic, name in self._options.inputs:
            image = name in ("sensor_msgs/Image", "sensor_msgs/CompressedImage")
            profile = self._profile("BEST_EFFORT", 1) if image else self._profile("RELIABLE", 100)
            self._node.create_subscription(
                self._ros.type(name), topic, lambda message, name=name: inputs.take(name, message), profile
            )
        self._thread = threading.Thread(target=self._spin, name="emer-ros2", daemon=True)
        self._thread.start()
        return inputs

    def close(self) -> None:
        """Stop reading and leave the graph."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self._executor.shutdown()
        self._node.destroy_node()
        if self._context.ok():
            self._rclpy.shutdown(context=self._context)

    def __enter__(self) -> Ros2Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spin(self) -> None:
        with contextlib.suppress(self._rclpy.executors.ExternalShutdownException):
            while not self._stop.is_set() and self._context.ok():
                self._executor.spin_once(timeout_sec=_WAKE_SECONDS)

    def _profile(self, reliability: str, depth: int) -> Any:
        qos = self._qos
        return qos.QoSProfile(
            reliability=getattr(qos.ReliabilityPolicy, reliability),
            history=qos.HistoryPolicy.KEEP_LAST,
            depth=depth,
        )


def _import_rclpy() -> tuple[Any, Any]:
    try:
        rclpy = importlib.import_module("rclpy")
        for name in ("context", "executors"):
            importlib.import_module(f"rclpy.{name}")
        return rclpy, importlib.import_module("rclpy.qos")
    except ImportError as error:
        raise DeviceError(
            "rclpy is not installed: there is no ROS 2 here, or it is not sourced.",
            str(error),
            "source /opt/ros/$ROS_DISTRO/setup.bash, or use the DDS bridge, which needs no ROS.",
        ) from error

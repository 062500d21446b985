"""The few names of rclpy and of message packages that the node uses, over a table of topics in this process.

It stands in for a ROS installation, which can't be installed from PyPI: it shows that the node is wired
right, and nothing of ROS. The wire itself is tested with rosbags and cyclonedds.
"""

from __future__ import annotations

import sys
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from emer_edge.bridges.ros_types import MESSAGES


class Graph:
    """Topics of this process."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, tuple[Any, Any, Any]] = {}
        self.published: list[tuple[str, Any]] = []
        self.profiles: dict[str, Any] = {}
        self.shut_down = False
        self.domain_id: Any = None

    def ok(self) -> bool:
        return not self.shut_down

    def deliver(self, topic: str, message: Any) -> None:
        kind, callback, _ = self.subscriptions[topic]
        assert isinstance(message, kind)
        callback(message)


def message_type(name: str) -> type:
    """A type with the fields of the message, which it takes by keyword and nothing else."""
    fields = [field for _, field in MESSAGES[name]]

    def init(self: Any, **values: Any) -> None:
        assert set(values) <= set(fields), (name, values)
        vars(self).update(values)

    return type(name.partition("/")[2], (), {"__init__": init})


def install(monkeypatch: pytest.MonkeyPatch, *, without: tuple[str, ...] = ()) -> Graph:
    """Put the stand-ins where `import` finds them."""
    graph = Graph()

    def subscribe(kind: Any, topic: str, callback: Any, profile: Any) -> None:
        graph.subscriptions[topic] = (kind, callback, profile)

    def publisher(_kind: Any, topic: str, profile: Any) -> Any:
        graph.profiles[topic] = profile
        return SimpleNamespace(publish=lambda message: graph.published.append((topic, message)))

    def clock() -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=123_000_000_000))

    node = SimpleNamespace(
        create_subscription=subscribe,
        create_publisher=publisher,
        get_clock=clock,
        destroy_node=lambda: None,
    )

    def init(*, context: Any, domain_id: Any) -> None:
        context.domain_id = domain_id

    def shutdown(*, context: Any) -> None:
        context.shut_down = True

    executor = SimpleNamespace(
        add_node=lambda _node: None,
        spin_once=lambda timeout_sec: time.sleep(min(0.01, timeout_sec)),
        shutdown=lambda: None,
    )
    modules: dict[str, dict[str, Any]] = {
        "rclpy": {"init": init, "shutdown": shutdown, "create_node": lambda _name, context: node},
        "rclpy.context": {"Context": lambda: graph},
        "rclpy.executors": {
            "SingleThreadedExecutor": lambda context: executor,
            "ExternalShutdownException": type("ExternalShutdownException", (Exception,), {}),
        },
        "rclpy.qos": {
            "QoSProfile": lambda **values: values,
            "ReliabilityPolicy": SimpleNamespace(RELIABLE="reliable", BEST_EFFORT="best effort"),
            "HistoryPolicy": SimpleNamespace(KEEP_LAST="keep last"),
        },
    }
    for name in MESSAGES:
        package, _, message = name.partition("/")
        modules.setdefault(f"{package}.msg", {})[message] = message_type(name)
        modules.setdefault(package, {})
    for name, members in sorted(modules.items()):  # parents first
        if name.partition(".")[0] in without:
            monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]
            continue
        module = ModuleType(name)
        vars(module).update(members)
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
        monkeypatch.setitem(sys.modules, name, module)
    return graph

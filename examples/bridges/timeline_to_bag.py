"""Turn a recorded timeline into a ROS 2 bag, with no ROS installed: `timeline_to_bag.py record.jsonl bag`.

The bag has the topics that the live bridges publish, and plays with `ros2 bag play bag` beside the camera's.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from emer_edge.bridges.record import read_timeline
from emer_edge.bridges.ros_types import MESSAGES, Topics, definition
from emer_edge.bridges.ros_values import event_messages


class BagMessages:
    """Makes messages as rosbags' types; those of hri_msgs are registered from their definitions."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_HUMBLE)
        for name in MESSAGES:
            if self.full(name) not in self.store.fielddefs:
                self.store.register(get_types_from_msg(definition(name), self.full(name)))

    @staticmethod
    def full(name: str) -> str:
        """The name as rosbags writes it."""
        return name.replace("/", "/msg/")

    def make(self, name: str, **fields: Any) -> Any:
        """The message `name` with these fields."""
        return self.store.types[self.full(name)](**fields)


def main(record: Path, bag: Path) -> int:
    """Write the bag; returns how many messages it holds. A message's time is the end of its window."""
    ros, topics, count, newest = BagMessages(), Topics("f1"), 0, 0.0
    with Writer(bag, version=9) as writer:
        connections: dict[str, Any] = {}
        for event in read_timeline(record).events:
            newest = max(newest, getattr(event, "end_pts_seconds", newest))
            for topic, name, message in event_messages(event, topics, ros):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, ros.full(name), typestore=ros.store)
                data = ros.store.serialize_cdr(message, ros.full(name))
                writer.write(connections[topic], round(newest * 1e9), data)
                count += 1
    return count


if __name__ == "__main__":
    print(f"{main(Path(sys.argv[1]), Path(sys.argv[2]))} messages")

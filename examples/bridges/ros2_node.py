"""A ROS 2 node of one's own around a live session; needs a sourced ROS 2 with hri_msgs.

`emer-edge bridge ros2` does the same from the command line. Where there is no ROS, `dds_robot.py` shows how
to publish to it all the same.
"""

from __future__ import annotations

import sys

import emer_edge as ee
from emer_edge.bridges.ros2 import Ros2Bridge
from emer_edge.bridges.ros_inputs import RosOptions
from emer_edge.bridges.ros_types import Topics
from emer_edge.bridges.run import run_bridge


def main() -> int:
    """Listen to a camera and a microphone, and publish what the person feels, until Ctrl-C."""
    options = RosOptions(
        Topics("f1"), image_topic="/camera/image_raw", audio_topic="/audio/audio", announce_face=True
    )
    try:
        with Ros2Bridge(options) as bridge, ee.load("emer-nano") as reasoner:
            with reasoner.live(hop_seconds=1.0, reasoning="on_change") as live:
                print(run_bridge(live, bridge))
    except ee.EmerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

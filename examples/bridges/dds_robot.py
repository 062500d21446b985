"""A program of one's own that publishes hri_msgs/Expression to ROS 2, with no ROS installed.

The camera here is drawn and its words are made up; replace both by your own. Whoever runs ROS 2 on this
machine with ROS_LOCALHOST_ONLY=1 sees the result: `ros2 topic echo /humans/faces/f1/expression`.
"""

from __future__ import annotations

import sys
import threading
import time

import numpy as np

import emer_edge as ee
from emer_edge.bridges.dds import DdsBridge
from emer_edge.bridges.port import forward
from emer_edge.bridges.ros_inputs import RosOptions
from emer_edge.bridges.ros_types import Topics
from emer_edge.live.session import LiveSession

SECONDS, STEP = 6.0, 0.1
SAID = {1.0: "I am so happy to see you!", 3.0: "What a wonderful day.", 5.0: "Thank you so much!"}


def main(domain_id: int = 0) -> None:
    """Publish six seconds of states; times are those of the wall clock, as ROS wants them."""
    options = RosOptions(Topics("f1"), domain_id=domain_id, announce_face=True)
    with DdsBridge(options) as bridge, ee.load("emer-nano") as reasoner:
        with reasoner.live(window_seconds=4.0, hop_seconds=1.0) as live:
            teller = threading.Thread(target=forward, args=(live, bridge))
            teller.start()
            watch(live)
        teller.join()
        print(f"{live.stats()['states']} states for {bridge.matched(options.topics.expression)} listeners")


def watch(live: LiveSession) -> None:
    """Push a grey picture and three sentences in real time."""
    begin = time.time()
    for count in range(round(SECONDS / STEP) + 1):
        pts = round(count * STEP, 6)
        time.sleep(max(0.0, begin + pts - time.time()))
        live.push_frame(np.full((120, 160, 3), 40 + count, np.uint8), begin + pts)
        if pts in SAID:
            live.push_text(SAID[pts], begin + pts, begin + pts + 0.9)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))

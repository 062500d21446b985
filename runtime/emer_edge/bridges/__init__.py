"""Ways out of a live session: ROS 2, DDS, zenoh, dora; and the way back in from a recorded timeline."""

from __future__ import annotations

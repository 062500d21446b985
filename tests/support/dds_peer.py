"""A second process of a DDS exchange: a robot's camera and a listener, with types written out by hand.

It shares no code with the bridge, so that a mistake there can't hide here. Usage: dds_peer.py DOMAIN COUNT
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import make_idl_struct
from cyclonedds.idl.types import float32, float64, int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

Time = make_idl_struct("Time", "builtin_interfaces::msg::dds_::Time_", {"sec": int32, "nanosec": uint32})
Header = make_idl_struct("Header", "std_msgs::msg::dds_::Header_", {"stamp": Time, "frame_id": str})
String = make_idl_struct("String", "std_msgs::msg::dds_::String_", {"data": str})
Expression = make_idl_struct(
    "Expression",
    "hri_msgs::msg::dds_::Expression_",
    {"header": Header, "expression": str, "valence": float32, "arousal": float32, "confidence": float32},
)
LiveSpeech = make_idl_struct(
    "LiveSpeech",
    "hri_msgs::msg::dds_::LiveSpeech_",
    {"header": Header, "incremental": str, "final": str, "confidence": float64, "locale": str},
)
AudioData = make_idl_struct(
    "AudioData", "audio_common_msgs::msg::dds_::AudioData_", {"data": sequence[uint8]}
)
Image = make_idl_struct(
    "Image",
    "sensor_msgs::msg::dds_::Image_",
    {
        "header": Header,
        "height": uint32,
        "width": uint32,
        "encoding": str,
        "is_bigendian": uint8,
        "step": uint32,
        "data": sequence[uint8],
    },
)
LOCAL = (
    "<CycloneDDS><Domain><General><Interfaces><NetworkInterface address='127.0.0.1' multicast='false'/>"
    "</Interfaces><AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto"
    "</ParticipantIndex><Peers><Peer address='127.0.0.1'/></Peers></Discovery></Domain></CycloneDDS>"
)
QOS = Qos(
    Policy.Reliability.Reliable(duration(milliseconds=100)),
    Policy.Durability.Volatile,
    Policy.History.KeepLast(10),
)


def main(domain_id: int, count: int) -> None:
    domain = Domain(domain_id, LOCAL)
    participant = DomainParticipant(domain_id)

    def topic(name: str, kind: Any) -> Any:
        return Topic(participant, name, kind)

    images = DataWriter(participant, topic("rt/humans/faces/f1/cropped", Image), qos=QOS)
    sound = DataWriter(participant, topic("rt/humans/voices/f1/audio", AudioData), qos=QOS)
    speech = DataWriter(participant, topic("rt/humans/voices/f1/speech", LiveSpeech), qos=QOS)
    faces = DataReader(participant, topic("rt/humans/faces/f1/expression", Expression), qos=QOS)
    texts = DataReader(participant, topic("rt/humans/faces/f1/expression_reasoning", String), qos=QOS)
    events = DataReader(participant, topic("rt/humans/faces/f1/expression_events", String), qos=QOS)

    header = Header(Time(1_700_000_000, 500_000_000), "camera")
    pixels = [10, 20, 30] * 6
    got: dict[str, list[Any]] = {"expressions": [], "texts": [], "events": []}
    end = time.monotonic() + 90
    while time.monotonic() < end and len(got["expressions"]) < count:
        images.write(Image(header, 2, 3, "bgr8", 0, 9, pixels))
        sound.write(AudioData([1, 0, 255, 255]))
        speech.write(LiveSpeech(header, "", "I am glad", 0.9, "en_GB"))
        for key, reader in (("expressions", faces), ("texts", texts), ("events", events)):
            for sample in reader.take(64):
                if isinstance(sample, Expression):
                    stamp = sample.header.stamp
                    got[key].append(
                        [
                            stamp.sec, stamp.nanosec, sample.header.frame_id, sample.expression,
                            sample.valence, sample.arousal, sample.confidence,
                        ]
                    )  # fmt: skip
                else:
                    got[key].append(sample.data)
        time.sleep(0.05)
    print(json.dumps(got), flush=True)
    del domain


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

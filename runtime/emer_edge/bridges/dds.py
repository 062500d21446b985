"""A participant of a ROS 2 graph over Eclipse Cyclone DDS, with no ROS installed. Knows no session's insides.

It reads and writes the topics and types that ROS 2 itself puts on the wire, so ROS nodes need no change.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

from emer_edge.bridges.dds_types import CycloneMessages, import_cyclonedds, struct
from emer_edge.bridges.port import Inputs
from emer_edge.bridges.ros_inputs import RosInputs, RosOptions
from emer_edge.bridges.ros_types import TRACKED_FACES, dds_topic
from emer_edge.bridges.ros_values import event_messages, header
from emer_edge.errors import DeviceError, InputError
from emer_edge.live.events import LiveEvent

LOCAL = (
    "<CycloneDDS><Domain Id='any'><General><Interfaces>"
    "<NetworkInterface address='127.0.0.1'/></Interfaces><AllowMulticast>spdp</AllowMulticast>"
    "<MaxMessageSize>65500B</MaxMessageSize><FragmentSize>60000B</FragmentSize></General><Discovery>"
    "<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>"
    "<SPDPInterval>2s</SPDPInterval>"
    "<Peers><Peer address='127.0.0.1'/></Peers></Discovery></Domain></CycloneDDS>"
)
"""Cyclone's configuration for this machine alone: loopback, found with and without multicast there."""
_DEPTH = 10
_WAKE_SECONDS = 0.2


class DdsBridge:
    """Publishes events as ROS 2 messages, and feeds a session from ROS 2 topics.

    Quality of service: what is written is reliable, volatile, keep last 10, as ROS 2's default; images are
    read best-effort, the newest only; sound and words reliably. A context manager.

    Raises:
        DeviceError: cyclonedds is not installed, or the domain can't be joined.
    """

    def __init__(self, options: RosOptions) -> None:
        dds = import_cyclonedds()
        self._dds, self._options, self._ros = dds, options, CycloneMessages()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._readers: list[tuple[str, Any]] = []
        try:
            # The domain is configured by whoever names it first in this process, and only then.
            self._domain = _local_domain(dds, options.domain_id) if options.local_only else None
            self._participant = dds.domain.DomainParticipant(options.domain_id)
            self._writers = {topic: self._writer(topic, name) for topic, name in options.outputs}
            self._announcer = (
                self._writer(TRACKED_FACES, "hri_msgs/IdsList") if options.announce_face else None
            )
        except dds.core.DDSException as error:
            raise DeviceError(
                f"Can't join the DDS domain {options.domain_id}.",
                str(error),
                "Check the network and CYCLONEDDS_URI.",
            ) from error

    def send(self, event: LiveEvent) -> None:
        """Publish what one event becomes; see `ros_values.event_messages`."""
        for topic, _, message in event_messages(event, self._options.topics, self._ros):
            self._writers[topic].write(message)
        if self._announcer is not None and event.kind == "state":
            seconds = event.end_pts_seconds  # type: ignore[union-attr]
            self._announcer.write(
                self._ros.make(
                    "hri_msgs/IdsList",
                    header=header(self._ros, seconds, ""),
                    ids=[self._options.topics.face_id],
                )
            )

    def listen(self, session: Inputs) -> RosInputs:
        """Feed the session from the input topics, in a thread of its own, until the bridge is closed.

        Returns the counts of what came in. Nothing is called that blocks on the model.
        """
        inputs = RosInputs(session, self._options)
        self._readers = [(name, self._reader(topic, name)) for topic, name in self._options.inputs]
        self._thread = threading.Thread(target=self._run, args=(inputs,), name="emer-dds", daemon=True)
        self._thread.start()
        return inputs

    def matched(self, topic: str) -> int:
        """How many readers there are for a topic that is written."""
        return len(self._writers[topic].get_matched_subscriptions())

    def close(self) -> None:
        """Stop reading; what was written and is still on its way may be lost."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self._writers.clear()
        self._readers.clear()
        with contextlib.suppress(AttributeError):
            del self._announcer, self._participant, self._domain

    def __enter__(self) -> DdsBridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, inputs: RosInputs) -> None:
        core, util = self._dds.core, self._dds.util
        waits = core.WaitSet(self._participant)
        # Kept while it runs: a condition that nobody holds is gone, and waiting would always take its time.
        conditions = [core.ReadCondition(reader, _anything(core)) for _, reader in self._readers]
        for condition in conditions:
            waits.attach(condition)
        while not self._stop.is_set():
            waits.wait(util.duration(seconds=_WAKE_SECONDS))
            for name, reader in self._readers:
                for sample in _taken(reader, inputs):
                    if sample.sample_info.valid_data:
                        inputs.take(name, sample)

    def _writer(self, topic: str, name: str) -> Any:
        qos = self._qos(reliable=True)
        return self._dds.pub.DataWriter(self._participant, self._topic(topic, name), qos=qos)

    def _reader(self, topic: str, name: str) -> Any:
        image = name in ("sensor_msgs/Image", "sensor_msgs/CompressedImage")
        qos = self._qos(reliable=not image, depth=1 if image else 100)
        return self._dds.sub.DataReader(self._participant, self._topic(topic, name), qos=qos)

    def _topic(self, topic: str, name: str) -> Any:
        return self._dds.topic.Topic(self._participant, dds_topic(topic), struct(name))

    def _qos(self, *, reliable: bool, depth: int = _DEPTH) -> Any:
        policy, duration = self._dds.core.Policy, self._dds.util.duration
        return self._dds.core.Qos(
            policy.Reliability.Reliable(duration(milliseconds=100))
            if reliable
            else policy.Reliability.BestEffort,
            policy.Durability.Volatile,
            policy.History.KeepLast(depth),
            # ROS 2 writes CDR version 1 and reads nothing else.
            policy.DataRepresentation(use_cdrv0_representation=True),
        )


def _taken(reader: Any, inputs: RosInputs) -> list[Any]:
    """What waits at a reader. One that is not what it claims to be is counted, and costs its companions."""
    try:
        samples: list[Any] = reader.take(64)
    except Exception as error:  # whatever Cyclone's decoder stumbles over: bad text, a cut-off message
        inputs.refuse(InputError("A message could not be decoded.", f"{type(error).__name__}: {error}"))
        return []
    return samples


def _anything(core: Any) -> Any:
    return core.SampleState.NotRead | core.ViewState.Any | core.InstanceState.Any


def _local_domain(dds: Any, domain_id: int) -> Any:
    try:
        return dds.domain.Domain(domain_id, LOCAL)
    except dds.core.DDSException as error:
        raise DeviceError(
            f"The DDS domain {domain_id} is in use in this process already.",
            str(error),
            "Set local_only=False to join it as it was configured.",
        ) from error

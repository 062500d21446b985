"""Send a clip to `WS /v1/live` of `emer-edge serve` as a camera would, and print the events as JSON lines.

Usage: python examples/live_client.py clip.mp4 [ws://127.0.0.1:8600/v1/live] [--fast]

Needs `websockets` and `av`. The messages are binary: 16 bytes of header, then a JPEG or PCM s16le.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
import time
from collections.abc import Iterator
from io import BytesIO

import av
from websockets.sync.client import ClientConnection, connect

HEADER = struct.Struct("<BBHId")  # kind, channels, zero, sample rate, pts in seconds
FRAME, AUDIO = 1, 2
FRAMES_PER_SECOND = 5


def jpeg(frame: av.VideoFrame) -> bytes:
    """One picture as JPEG."""
    out = BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuvj420p"
        container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    return out.getvalue()


def messages(clip: str) -> Iterator[tuple[float, bytes]]:
    """(pts in seconds, message), in the order of the clip."""
    with av.open(clip) as container:
        resampler = av.AudioResampler("s16", "mono", 16_000)
        next_picture = 0.0
        for frame in container.decode(video=0, audio=0):
            if not isinstance(frame, av.VideoFrame | av.AudioFrame):
                continue
            now = float(frame.time or 0.0)
            if isinstance(frame, av.VideoFrame):
                if now >= next_picture:
                    next_picture += 1 / FRAMES_PER_SECOND
                    yield now, HEADER.pack(FRAME, 0, 0, 0, now) + jpeg(frame)
                continue
            for piece in resampler.resample(frame):
                pcm = piece.to_ndarray().tobytes()
                yield now, HEADER.pack(AUDIO, 1, 0, 16_000, float(piece.time or now)) + pcm


def show(line: ClientConnection) -> None:
    """Print every event until the server has said goodbye."""
    for event in line:
        print(event, flush=True)


def main(clip: str, address: str = "ws://127.0.0.1:8600/v1/live", *, fast: bool = False) -> None:
    """Send the clip, at its own speed unless `fast`."""
    with connect(address) as line:
        # `block`: where the server is behind, wait for it; a camera would use `drop_oldest`.
        line.send(json.dumps({"window_seconds": 4, "hop_seconds": 1, "policy": "block"}))
        showing = threading.Thread(target=show, args=(line,))
        showing.start()
        began = time.monotonic()
        for pts, message in messages(clip):
            if not fast:
                time.sleep(max(0.0, began + pts - time.monotonic()))
            line.send(message)
        line.send(json.dumps({"kind": "ask"}))
        line.send(json.dumps({"kind": "close"}))
        showing.join()


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--fast"]
    main(*given[:2], fast="--fast" in sys.argv)

"""The messages between parent and worker: msgpack behind a four-byte big-endian length."""

from typing import BinaryIO, Literal

import msgspec

from harness.measure.series import Series
from harness.spec.job import Status


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker's first message, once its framework is imported."""

    protocol: int
    python: str
    versions: dict[str, str]
    facts: dict[str, str]


class Request(msgspec.Struct, frozen=True, tag="request"):
    """run: measure a job. open: prepare a timed job; block: time one block of it; close: forget it.

    clock: check the clock on a device.
    """

    do: Literal["run", "open", "block", "close", "clock"]
    job: bytes = b""
    device: str = ""


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """What became of a request."""

    status: Status
    reason: str = ""
    plan: dict[str, tuple[str, str, str]] = {}
    facts: dict[str, str] = {}
    series: list[Series] = []
    seconds: float = 0.0  # of one step, for a block
    pace: float | None = None  # and what else is measured beside it (``measure.speed.Block``)
    bandwidth: float | None = None


Message = Hello | Request | Reply
_decoder = msgspec.msgpack.Decoder(Message)


def write(stream: BinaryIO, message: Message) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    stream.write(len(body).to_bytes(4, "big") + body)
    stream.flush()


def read(stream: BinaryIO) -> Message | None:
    """Receive one message; None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(int.from_bytes(head, "big"))
    return decode(body)


def decode(body: bytes) -> Message:
    """A message from its body."""
    message: Message = _decoder.decode(body)
    return message

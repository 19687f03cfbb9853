"""The messages between a session process and the keeper.

Every message is a frame: four bytes of length (big endian), then one JSON object with a
`type`. A request carries an `id` that its answers repeat, so requests may be pipelined;
answers come in any order. Events carry no id and go to every connected session. Both
sides ignore fields they do not know; a field that must be understood means a new VERSION.

==========  ==========================================================================
request     answer
==========  ==========================================================================
hello       welcome
start       started, or start_failed (after its exit record is durable). A known fence is
            answered with what is known; if it has ended, `exited` is sent again
cancel      status; asking again changes nothing but, if given, shortens the grace
list        listing, in parts; the last one says so
forget      done; refused while the attempt runs
shutdown    done, and the keeper ends; refused while attempts run, unless `kill`
any         refused, with a sentence, when it cannot be carried out
==========  ==========================================================================

Strings that are not UTF-8 (arguments, environment) travel as Python's surrogate escapes.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from jobs_grpc.worker.keeper.plain import Form, MalformedError
from jobs_grpc.worker.keeper.record import RECORD_FORM, ExitRecord

VERSION: Final = 1
# The kernel takes 2 MB of arguments by default, escaped at worst sixfold; standard input
# is the rest. A bigger frame is an error of the peer.
MAX_FRAME_BYTES: Final = 32 << 20
# Parts keep a long listing far below the limit of a frame.
LISTING_PART: Final = 500

_LENGTH: Final = struct.Struct(">I")
_DECODER: Final = json.JSONDecoder()
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)


class ProtocolError(Exception):
    """The peer sent something that is not of this protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloRequest:
    """The first request of a connection."""

    version: int = VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """Run a command as attempt `fence`; safe to repeat.

    `env` is the whole environment. The keeper adds two variables to it: the `marker`
    (``NAME=value``, unique for the attempt), and ``JOBS_KEEPER``, which tells its
    processes from those of another keeper on the host.
    """

    fence: int
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    marker: str
    stdin: bytes | None = None
    timeout_seconds: float | None = None
    # End it once it has printed nothing for this long.
    silence_seconds: float | None = None
    signal: str = "TERM"
    grace_seconds: float = 10.0
    output_limit_bytes: int = 64 << 20
    # How long processes may outlive a main process that ended by itself.
    linger_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """End the whole tree of an attempt."""

    fence: int
    reason: str
    # Absent: the grace of the start request. Never makes a grace longer.
    grace_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """Ask for every attempt that was not forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetRequest:
    """Remove the record and the directory of an ended attempt; safe to repeat."""

    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownRequest:
    """End the keeper; with `kill`, after ending every attempt."""

    kill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Who the keeper is."""

    version: int
    pid: int
    boot_id: str
    keeper_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The main process runs, or has run (pid 0: lost before its pid was noted)."""

    fence: int
    pid: int
    start_ticks: int
    boot_id: str
    started_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailed:
    """No process came to be; `error` is a sentence for people."""

    fence: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStatus:
    """What the keeper knows of an attempt; `state` is running, ending or ended."""

    fence: int
    state: str
    pid: int = 0
    start_ticks: int = 0
    boot_id: str = ""
    started_at_us: int = 0
    output_bytes: int = 0
    record: ExitRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A part of the answer to `list`."""

    attempts: tuple[AttemptStatus, ...]
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The request was carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The request was not carried out; `error` is a sentence for people."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How many payload bytes the spools of these attempts have now."""

    fences: tuple[int, ...]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited:
    """An attempt has ended, and its record is durable."""

    record: ExitRecord

    @property
    def fence(self) -> int:
        """The attempt that ended."""
        return self.record.fence


Request = (
    HelloRequest
    | StartRequest
    | CancelRequest
    | ListRequest
    | ForgetRequest
    | ShutdownRequest
)
Answer = Welcome | Started | StartFailed | AttemptStatus | Listing | Done | Refused
Event = Growth | Exited
Message = Request | Answer | Event
Form(AttemptStatus)
FORMS: Final[Mapping[str, Form[Any]]] = {
    "hello": Form(HelloRequest),
    "start": Form(StartRequest),
    "cancel": Form(CancelRequest),
    "list": Form(ListRequest),
    "forget": Form(ForgetRequest),
    "shutdown": Form(ShutdownRequest),
    "welcome": Form(Welcome),
    "started": Form(Started),
    "start_failed": Form(StartFailed),
    "status": Form(AttemptStatus),
    "listing": Form(Listing),
    "done": Form(Done),
    "refused": Form(Refused),
    "output": Form(Growth),
    "exited": Form(Exited),
}
_NAMES: Final = {form.record: (name, form) for name, form in FORMS.items()}
Known = TypeVar("Known", bound=Message)


def encode(message: Message, request_id: int | None = None) -> bytes:
    """Return the frame of a message."""
    if type(message) is Started and request_id is not None:
        return _encode_started(message, request_id)
    name, form = _NAMES[type(message)]
    if form.is_bare and request_id is not None:
        return frame(b'{"type":"%b","id":%d}' % (name.encode("ascii"), request_id))
    plain: dict[str, object] = {"type": name}
    if request_id is not None:
        plain["id"] = request_id
    plain |= form.write(message)
    return frame(_ENCODER.encode(plain).encode("ascii"))


def _encode_started(started: Started, request_id: int) -> bytes:
    """Do what `encode` does; the answer to every start is worth a shortcut."""
    return frame(
        b'{"type":"started","id":%d,"fence":%d,"pid":%d,"start_ticks":%d,'
        b'"boot_id":"%b","started_at_us":%d}'
        % (
            request_id,
            started.fence,
            started.pid,
            started.start_ticks,
            started.boot_id.encode("ascii"),
            started.started_at_us,
        )
    )


def encode_exited(record_json: bytes) -> bytes:
    """Return the frame of `Exited` around a record that is JSON already."""
    return frame(b'{"type":"exited","record":%b}' % record_json)


def record_json(record: ExitRecord) -> bytes:
    """Return an exit record as JSON, as the journal and the event carry it."""
    return _ENCODER.encode(RECORD_FORM.write(record)).encode("ascii")


def frame(payload: bytes) -> bytes:
    """Return `payload` behind its length."""
    if len(payload) > MAX_FRAME_BYTES:
        raise ProtocolError(
            f"a message of {len(payload)} bytes is longer than {MAX_FRAME_BYTES}"
        )
    return _LENGTH.pack(len(payload)) + payload


def decode(payload: bytes) -> tuple[Message, int | None]:
    """Return the message and the request id of a frame's payload."""
    try:
        text = str(payload, "utf-8")
        plain, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame is not JSON: {error}") from None
    if type(plain) is not dict or end != len(text):
        raise ProtocolError("a frame is not a JSON object")
    request_id = plain.pop("id", None)
    if request_id is not None and type(request_id) is not int:
        raise ProtocolError(f"a request id is not an integer: {request_id!r:.80}")
    form = FORMS.get(str(plain.pop("type", None)))
    if form is None:
        raise ProtocolError("a frame has no known type")
    try:
        return form.read(plain), request_id
    except MalformedError as error:
        raise ProtocolError(str(error)) from None


class FrameDecoder:
    """Cuts a stream of bytes into the payloads of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Add what was read; yield every payload that is now complete."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._buffer, start)
                if length > MAX_FRAME_BYTES:
                    raise ProtocolError(f"a frame of {length} bytes is too long")
                end = start + _LENGTH.size + length
                if len(self._buffer) < end:
                    return
                payload = bytes(memoryview(self._buffer)[start + _LENGTH.size : end])
                start = end
                yield payload
        finally:
            del self._buffer[:start]


def peer_is_trusted(connection: socket.socket, *uids: int) -> bool:
    """Whether the process at the other end belongs to root or to one of `uids`."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return uid == 0 or uid in uids

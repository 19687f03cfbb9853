from __future__ import annotations

import contextlib
import json
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs_grpc.worker.keeper.protocol import (
    FORMS,
    MAX_FRAME_BYTES,
    AttemptStatus,
    Exited,
    FrameDecoder,
    Growth,
    HelloRequest,
    Listing,
    ProtocolError,
    Started,
    StartRequest,
    decode,
    encode,
    encode_exited,
    frame,
    record_json,
)
from jobs_grpc.worker.keeper.record import (
    ExitRecord,
    Outcome,
    Receipt,
    SignalSent,
    Survivor,
    signal_name,
    signal_number,
)

RECORD = ExitRecord(
    fence=7,
    outcome=Outcome.TIMED_OUT,
    signal="TERM",
    started_at_us=1,
    finished_at_us=2,
    receipt=Receipt(
        signals=(SignalSent(signal="TERM", sent_at_us=3, processes=2),),
        survivors=(Survivor(pid=4, name="dæmon"),),
        output_leaked=True,
    ),
    reason="timeout",
)
START = StartRequest(
    fence=7,
    argv=("sh", "-c", "echo \udcff"),
    env={"A": "ü", "B": "\udc80"},
    cwd="/",
    marker="JOBS_FENCE=7",
    stdin=b"\0\xff",
    timeout_seconds=2,
)
STATUS = AttemptStatus(fence=7, state="ended", record=RECORD)
MESSAGES = {
    "start": START,
    "listing": Listing(attempts=(STATUS, replace(STATUS, record=None)), is_last=True),
    "status": STATUS,
    "exited": Exited(record=RECORD),
    "output": Growth(fences=(1, 2), sizes=(10, 20)),
    "started": Started(
        fence=1, pid=2, start_ticks=3, boot_id="b", started_at_us=1 << 50
    ),
}


def sample(name: str) -> Any:
    """Return a message of a type, made up from its annotations if need be."""
    if name in MESSAGES:
        return MESSAGES[name]
    values = {"int": 5, "str": "text", "bool": True, "float | None": 1.5}
    record = FORMS[name].record
    return record(**{item.name: values[str(item.type)] for item in fields(record)})


@pytest.mark.parametrize("name", FORMS)
def test_every_message_survives_the_wire(name: str) -> None:
    message = sample(name)
    (payload,) = FrameDecoder().feed(encode(message, 12))
    assert decode(payload) == (message, 12)
    (payload,) = FrameDecoder().feed(encode(message))
    assert decode(payload) == (message, None)


@pytest.mark.parametrize("name", FORMS)
def test_only_fields_with_a_default_may_be_absent(name: str) -> None:
    plain = json.loads(encode(sample(name))[4:])
    for item in fields(FORMS[name].record):
        has_default = item.default is not MISSING or item.default_factory is not MISSING
        less = {key: value for key, value in plain.items() if key != item.name}
        if has_default:
            decode(json.dumps(less).encode())
        else:
            with pytest.raises(ProtocolError, match=item.name):
                decode(json.dumps(less).encode())


@pytest.mark.parametrize("name", FORMS)
def test_no_field_takes_a_value_of_another_type(name: str) -> None:
    plain = json.loads(encode(sample(name))[4:])
    for item in fields(FORMS[name].record):
        with pytest.raises(ProtocolError, match=item.name):
            decode(json.dumps(plain | {item.name: {"odd": [1]}}).encode())


def test_unknown_fields_are_ignored() -> None:
    assert decode(b'{"type":"hello","version":1,"color":"red"}') == (
        HelloRequest(version=1),
        None,
    )


def test_an_end_is_encoded_around_its_record() -> None:
    assert encode_exited(record_json(RECORD)) == encode(Exited(record=RECORD))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"type":"unheard"}',
        b'{"type":["start"]}',
        b'{"type":"hello","id":"x"}',
        b'{"type":"forget","fence":true}',
        b'{"type":"start","fence":1,"argv":["a",1],"env":{},"cwd":"","marker":""}',
        b'{"type":"start","fence":1,"argv":[],"env":{"a":1},"cwd":"","marker":""}',
        b'{"type":"exited","record":{"fence":1,"outcome":"fine","finished_at_us":1}}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_of_the_protocol_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(payload)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_protocol_error(payload: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode(payload)


@given(st.lists(st.binary(max_size=50), max_size=10), st.data())
def test_frames_are_found_wherever_the_stream_is_cut(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(frame, payloads))
    decoder, found, position = FrameDecoder(), list[bytes](), 0
    while position < len(stream):
        size = data.draw(st.integers(1, len(stream) - position))
        found += decoder.feed(stream[position : position + size])
        position += size
    assert found == payloads


def test_a_length_that_is_too_big_is_refused_before_it_arrives() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        list(FrameDecoder().feed((MAX_FRAME_BYTES + 1).to_bytes(4, "big")))
    with pytest.raises(ProtocolError, match="longer than"):
        frame(bytes(MAX_FRAME_BYTES + 1))


def test_signals_have_the_names_that_people_use() -> None:
    assert signal_name(15) == "TERM"
    assert signal_name(35) == "RTMIN+1"
    assert [signal_number(name) for name in ("TERM", "SIGTERM", "term", "NO")] == [
        15,
        15,
        15,
        None,
    ]


def test_a_message_is_a_frozen_record() -> None:
    with pytest.raises(AttributeError):
        START.fence = 8  # type: ignore[misc]

"""The output path: bytes of attempts from the workers, to disk, to followers.

    worker ──chunks──► Lane ─► Ingest ─► OutputStore ─► one log file per attempt
           ◄──acks────               │                      │
                                     └──► Hub ──────► Follower ──► pieces, gaps, end

It stands beside the core, not behind it: output is no state, nothing is decided by it, and
it is thousands of times larger. What connects the two is a number, the `output_bytes` that
a worker reports with its result.

**Who is authoritative for which offset**

- The *worker* says where a byte belongs: its spool numbers all bytes of an attempt, over
  all streams, in the order in which they were read. Nobody else ever assigns an offset.
- The *log file* says how far the bytes are durable. A chunk is stored if and only if it
  begins there. An acknowledgement is a statement about the file after its sync, and the
  worker forgets a byte only after one that covers it.
- The *worker's result* says how many bytes there are (`output_bytes`). Together with the
  log's size this makes a log complete; the end of a stream, silence or a final state do not.
- The *follower* says where it goes on. The hub keeps no cursor for anybody between calls.

**What happens when …**

| event | what happens |
|---|---|
| chunk sent twice, or cut differently the second time | what is known is trimmed off; the answer is the same |
| chunk out of order, or one lost | not stored; the answer is the offset to send again from |
| chunk of another fence | refused, and said so; the log keeps the bytes of its owner |
| process killed between write and sync | whole records are found again and synced before anyone is answered |
| power lost while writing | the torn tail is cut at the next start; it was not acknowledged |
| bits flip in the file | the record's checksum fails: a gap is shown in its place, never wrong bytes |
| disk full, or an I/O error | the file is cut back, the lane fails, `Ingest.failure` is set; the worker comes back and sends again |
| worker floods | its lane is held up, then gRPC's flow control, then its spool |
| output beyond the job's limit | the first MiB and the end are kept; what is between is dropped as the end moves, its space given back, and a gap shown |
| follower slow | it is told (`Lagged`) and falls back from memory to the file; 256 KiB and one slice are held for it |
| follower comes late, or again | reads the file from its offset, then live |
| leader changes | followers get `OutputClosedError` and go on by offset; workers send from the last acknowledgement |
| worker never delivers the rest | after a grace without growth followers get the gap and an end that says so |
| execution deleted while followed | the rest is a gap |

**What is not promised**: that a log complete on disk stays so without a copy of the disk;
that the leader's clock has anything to do with the times in the records, which are the
worker's.
"""

from __future__ import annotations

from jobs_grpc.controlplane.output.errors import (
    FollowersFullError,
    OutputArgumentError,
    OutputClosedError,
    OutputError,
    OutputStorageError,
)
from jobs_grpc.controlplane.output.follower import Follower
from jobs_grpc.controlplane.output.hub import Hub, HubSettings, StateOf
from jobs_grpc.controlplane.output.ingest import Ingest, IngestSettings
from jobs_grpc.controlplane.output.lane import Lane
from jobs_grpc.controlplane.output.records import (
    MAX_CHUNK_BYTES,
    Ack,
    AttemptEnd,
    Chunk,
    Content,
    End,
    FollowEvent,
    Gap,
    GapReason,
    Lagged,
    LogKey,
    Piece,
    Stream,
)
from jobs_grpc.controlplane.output.service import Output
from jobs_grpc.controlplane.output.store import Appended, OutputStore, StoreSettings

__all__ = [
    "MAX_CHUNK_BYTES",
    "Ack",
    "Appended",
    "AttemptEnd",
    "Chunk",
    "Content",
    "End",
    "FollowEvent",
    "Follower",
    "FollowersFullError",
    "Gap",
    "GapReason",
    "Hub",
    "HubSettings",
    "Ingest",
    "IngestSettings",
    "Lagged",
    "Lane",
    "LogKey",
    "Output",
    "OutputArgumentError",
    "OutputClosedError",
    "OutputError",
    "OutputStorageError",
    "OutputStore",
    "Piece",
    "StateOf",
    "StoreSettings",
    "Stream",
]

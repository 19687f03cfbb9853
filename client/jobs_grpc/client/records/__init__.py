"""What the control plane knows, as frozen records in Python's own types.

Instants are aware `datetime`s in UTC, durations `timedelta`s, words are enums whose
values are the canonical lower-case words. `to_json()` is the one JSON form of a record:
what the CLI prints with `-o json`. Nothing here knows gRPC or protobuf.
"""

from __future__ import annotations

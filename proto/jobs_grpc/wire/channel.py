"""Channel settings and limits, one table for both ends.

Why each value: gRPC's server tolerates one ping in 300 s unless told otherwise and then
ends the connection with `too_many_pings`, so the server's tolerance is half the client's
interval; without keepalive neither side notices a cut cable for hours; with
`so_reuseport` two servers can share a port by accident and split the workers.
"""

from __future__ import annotations

from typing import Final

KEEPALIVE_SECONDS: Final = 10
KEEPALIVE_TIMEOUT_SECONDS: Final = 5
MESSAGE_LIMIT: Final = 4 * 1024 * 1024
METADATA_LIMIT: Final = 8 * 1024

_COMMON: Final[tuple[tuple[str, int], ...]] = (
    ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1_000),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_metadata_size", METADATA_LIMIT),
)

CLIENT_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    *_COMMON,
    # A program may open several clients; each has its own connection and life.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # The address is what the user typed; a proxy variable must not redirect it.
    ("grpc.enable_http_proxy", 0),
)

SERVER_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    *_COMMON,
    ("grpc.so_reuseport", 0),
    (
        "grpc.http2.min_recv_ping_interval_without_data_ms",
        KEEPALIVE_SECONDS * 1_000 // 2,
    ),
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_SECONDS * 1_000 // 2),
)

# Bounds of one request; every list of the contract has one.
MAX_DOCUMENTS: Final = 2_000
MAX_SUBMISSIONS: Final = 1_000
MAX_PAGE: Final = 1_000
DEFAULT_PAGE: Final = 100
# A longer one is a slip of the pen; texts with units have the same limit.
LONGEST_DAYS: Final = 36_500
PROTOCOL_VERSION: Final = 1
DEFAULT_ADDRESS: Final = "127.0.0.1:7420"

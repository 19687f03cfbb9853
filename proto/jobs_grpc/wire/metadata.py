"""Names of the metadata that travels with calls."""

from __future__ import annotations

from typing import Final

# Minted by the client, echoed in errors, written in the server's log.
REQUEST_ID: Final = "x-request-id"
# "Bearer <token>".
AUTHORIZATION: Final = "authorization"
# Who is asking, where the server trusts the caller's word (loopback without TLS).
USER: Final = "x-jobs-grpc-user"

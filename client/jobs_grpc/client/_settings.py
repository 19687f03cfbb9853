"""Where the server is and whose things are meant.

The precedence is the same everywhere: what the caller says, then the environment, then
the built-in value. Only `from_environment` reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs_grpc.client._errors import InvalidArgument
from jobs_grpc.wire.channel import DEFAULT_ADDRESS

DEFAULT_PORT: Final = 7420
DEFAULT_NAMESPACE: Final = "default"
# Ten seconds: a healthy server answers in milliseconds, a restart takes a few seconds.
DEFAULT_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An address and the defaults for names; an empty workspace means none was said."""

    address: str = DEFAULT_ADDRESS
    namespace: str = DEFAULT_NAMESPACE
    workspace: str = ""

    def workspace_or(self, said: str | None) -> str:
        """Return the workspace that a call said, or the client's own if it said none."""
        return self.workspace if said is None else said


def from_environment(
    address: str | None,
    namespace: str | None,
    workspace: str | None,
    environment: Mapping[str, str] = os.environ,
) -> Target:
    """Return what was said, completed from `JOBS_GRPC_ADDR` and its sisters."""

    def chosen(said: str | None, variable: str, built_in: str) -> str:
        return said or environment.get(variable) or built_in

    return Target(
        address=checked_address(chosen(address, "JOBS_GRPC_ADDR", DEFAULT_ADDRESS)),
        namespace=chosen(namespace, "JOBS_GRPC_NAMESPACE", DEFAULT_NAMESPACE),
        workspace=chosen(workspace, "JOBS_GRPC_WORKSPACE", ""),
    )


def checked_address(text: str) -> str:
    """Return HOST:PORT, with the usual port if there is none."""
    scheme, separator, _ = text.partition("://")
    if separator:
        raise InvalidArgument(
            f"the address {text!r} has a scheme; it is HOST:PORT",
            hint=f"leave out {scheme}://, as in {DEFAULT_ADDRESS}",
        )
    if text.startswith("unix:"):
        return text
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        return f"{text}:{DEFAULT_PORT}"
    if ":" in host and not host.startswith("["):
        raise InvalidArgument(
            f"the address {text!r} is not HOST:PORT",
            hint="write an IPv6 address in brackets, as in [::1]:7420",
        )
    if (
        not host
        or not port.isascii()
        or not port.isdigit()
        or not 0 < int(port) < 65536
    ):
        raise InvalidArgument(
            f"the address {text!r} is not HOST:PORT", hint=f"as in {DEFAULT_ADDRESS}"
        )
    return text

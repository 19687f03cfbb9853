"""Why the output path says no.

OutputError
├── OutputArgumentError   the caller's fault: never send this again
├── OutputStorageError    the disk's fault: nothing was acknowledged, try again later
├── FollowersFullError    too many followers at once: try again later
└── OutputClosedError     this process stops: go on elsewhere, by offset
"""

from __future__ import annotations

from typing import ClassVar


class OutputError(Exception):
    """The root. `retriable` says whether the same call may succeed later."""

    retriable: ClassVar[bool] = True


class OutputArgumentError(OutputError, ValueError):
    """A key, a chunk or an offset that breaks the contract."""

    retriable = False


class OutputStorageError(OutputError):
    """The disk refused a read or a write; the cause is what it said."""

    def __init__(self, action: str, cause: Exception) -> None:
        super().__init__(f"cannot {action}: {cause}")
        self.cause = cause


class FollowersFullError(OutputError):
    """The cap on simultaneous followers is reached."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} followers are connected, which is the limit")
        self.limit = limit


class OutputClosedError(OutputError):
    """The output path of this process is closing or closed."""

    def __init__(self) -> None:
        super().__init__("the output path is closed")

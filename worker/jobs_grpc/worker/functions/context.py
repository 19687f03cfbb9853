"""What a function may know about its attempt, and say about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from jobs_grpc.worker.work import in_utf8


class FunctionCancelledError(Exception):
    """The attempt is to end: it was cancelled, timed out, or the worker stops."""


def _never() -> bool:
    return False


def _ignore_progress(fraction: float, message: str) -> None:
    pass


def _print(text: str) -> None:
    print(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The attempt that a function runs for.

    A function receives it as its first parameter when that is annotated `Context`. All
    methods may be called from any thread. A test of a function can make one itself;
    everything has a harmless default.
    """

    job: str = ""
    namespace: str = "default"
    workspace: str = "_standalone_"
    execution_id: str = ""
    # 1 for the first.
    attempt: int = 1
    # Grows with every attempt of the whole system: hand it to what must refuse stale
    # writers.
    fence: int = 0
    # The due time, or the instant asked for.
    scheduled_for: datetime | None = None
    # As they were given; arguments have been made from them already.
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    is_stopping: Callable[[], bool] = field(default=_never, repr=False)
    on_progress: Callable[[float, str], None] = field(
        default=_ignore_progress, repr=False
    )
    on_log: Callable[[str], None] = field(default=_print, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether the attempt is to end. Coroutines are cancelled by themselves."""
        return self.is_stopping()

    def raise_if_cancelled(self) -> None:
        """Leave the function where it may safely be left; call it in long loops."""
        if self.is_stopping():
            raise FunctionCancelledError("the attempt is to end")

    def progress(self, done: float, *, total: float = 1.0, message: str = "") -> None:
        """Say how far the work is; cheap enough for a loop, the latest word counts."""
        fraction = done / total if total > 0 else 0.0
        self.on_progress(min(1.0, max(0.0, fraction)), in_utf8(message))

    def log(self, text: str) -> None:
        """Write a line to the attempt's output."""
        self.on_log(text)

"""Bugs put in on purpose, in the test build only, to see that the witness finds them.

Each is a set of strategies for a world; the product has no switch for any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.state.draft import Draft, Step
from jobs_grpc.controlplane.core.state.execution import Execution, Result
from jobs_grpc.controlplane.core.state.live import Schedule, Session
from jobs_grpc.controlplane.core.state.states import State
from jobs_grpc.controlplane.leader.journal import Journal

from .faults import HOSTS, LEADERS, MIXED, SILENCE, Theme
from .reign import Strategies, built_core


class Plant(NamedTuple):
    """A bug, and the invariants of which at least one must find it."""

    strategies: type[Strategies]
    breaks: frozenset[str]
    # The worlds in which it shows soonest.
    theme: Theme = MIXED


class _TellsFirst(Journal):
    """Says what a step wants said before the step is durable."""

    async def commit_once(self, step: Step, futures: Any) -> None:
        self._release(step)
        if step.changes:
            await self._store.commit(self._core.term, step.changes)
        for future, reply in zip(futures, step.replies, strict=True):
            if future is not None and not future.done():
                future.set_result(reply)


class TellsFirst(Strategies):
    journal = _TellsFirst


def _altered(alter: Callable[[Core], None]) -> Any:
    def build(*args: Any, **named: Any) -> Core:
        core = built_core(*args, **named)
        alter(core)
        return core

    return staticmethod(build)


class _Sticky(dict[int, Execution]):
    """Fences that were given up are still found."""

    def pop(self, key: int, default: Any = None) -> Any:
        return self.get(key, default)


def _believe_any_fence(core: Core) -> None:
    sticky = _Sticky(core.live.by_fence)
    core.live.by_fence = sticky
    fleet: Any = core._fleet

    def held_by(draft: Draft, session: Session, fence: int, report: str) -> Any:
        execution = sticky.get(fence)
        is_live = execution is not None and execution.id in core.live.executions
        return execution if is_live else None

    fleet._held_by = held_by


class BelievesAnyFence(Strategies):
    """A result counts whatever its fence."""

    build_core = _altered(_believe_any_fence)


def _skip_silently(core: Core) -> None:
    decider: Any = core._decider
    start = decider._start

    def sometimes(
        draft: Draft, schedule: Schedule, due: int, *more: Any, **named: Any
    ) -> None:
        if due // 1_000_000 % 7 != 3:
            start(draft, schedule, due, *more, **named)

    decider._start = sometimes


class MovesTheCursorAlone(Strategies):
    """Some due times are passed without a decision."""

    build_core = _altered(_skip_silently)


def _run_again(core: Core) -> None:
    executions: Any = core._executions
    take_back_well = executions.take_back

    def take_back(
        draft: Draft, execution: Execution, reason: str, **named: Any
    ) -> None:
        if execution.state is State.CANCELLING:
            take_back_well(draft, execution, reason, **named)
        else:
            executions._again.release(draft, execution, reason, may_have_begun=False)

    executions.take_back = take_back


class RunsLostOnesAgain(Strategies):
    """What was lost is leased again, at most once or not."""

    build_core = _altered(_run_again)


class TrustsTooLong(Strategies):
    """A worker believes in its session for longer than the leader does."""

    session_ttl = 90.0


class AcknowledgesOutputEarly(Strategies):
    """Output is acknowledged before it is on disk."""

    acknowledges_output_early = True


class IgnoresLaterTerms(Strategies):
    """A deposed leader may write."""

    checks_term = False


def _end_lost_ones(core: Core) -> None:
    fleet: Any = core._fleet
    fleet._may_end = lambda _session, _entry: False


class EndsLostOnes(Strategies):
    """A worker that comes back with a lost attempt still running is told to kill it."""

    build_core = _altered(_end_lost_ones)


def _call_it_cancelled(core: Core) -> None:
    executions: Any = core._executions
    finish_well = executions.finish

    def finish(draft: Draft, execution: Execution, result: Result) -> None:
        if execution.state is State.LOST and result.never_began:
            executions._end(draft, execution, result)
        else:
            finish_well(draft, execution, result)

    executions.finish = finish


class CallsItCancelled(Strategies):
    """A lost attempt that never began is called cancelled, though nobody asked."""

    build_core = _altered(_call_it_cancelled)


class ShipsNameless(Strategies):
    """Output that nobody can name is sent all the same, and breaks its stream."""

    ships_nameless = True


PLANTS: Final = {
    "effects before the commit": Plant(TellsFirst, frozenset({"I7"})),
    "fence check dropped": Plant(BelievesAnyFence, frozenset({"I10", "I6"}), SILENCE),
    "cursor without decision": Plant(MovesTheCursorAlone, frozenset({"I2"})),
    "lost run again at most once": Plant(RunsLostOnesAgain, frozenset({"I4"}), SILENCE),
    "worker trusts longer than the leader": Plant(
        TrustsTooLong, frozenset({"I4"}), SILENCE
    ),
    "output acknowledged before durable": Plant(
        AcknowledgesOutputEarly, frozenset({"I8"}), LEADERS
    ),
    "later terms ignored": Plant(IgnoresLaterTerms, frozenset({"I10"}), LEADERS),
    # These were bugs of the product, found by the worlds; `ledger.json` names the seeds.
    "lost runs are ended on return": Plant(EndsLostOnes, frozenset({"I6"}), SILENCE),
    "never begun is called cancelled": Plant(
        CallsItCancelled, frozenset({"I6"}), SILENCE
    ),
    "nameless output breaks the stream": Plant(
        ShipsNameless, frozenset({"I8", "I12"}), HOSTS
    ),
}

"""Clients: they submit with request ids, ask again when they get no answer, cancel, edit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from jobs_grpc.controlplane.core.state.errors import RefusedError
from jobs_grpc.controlplane.core.state.inputs import (
    ApplyJobs,
    Cancel,
    DeleteJob,
    Input,
    SetJobEnabled,
    Submission,
    Submit,
)
from jobs_grpc.controlplane.core.state.job import STANDALONE, JobKey
from jobs_grpc.controlplane.leader.journal import NotLeadingError
from support.stage import finish

from .behavior import KINDS, Kind, spec_named
from .kernel import SECOND
from .reign import Reign

if TYPE_CHECKING:
    from .world import World

NAMESPACE: Final = "default"
_PATIENCE: Final = 4 * SECOND

Answered = Callable[[object], None]


class Call:
    """One request, asked again until it is answered (or its caller gives up)."""

    def __init__(
        self, world: World, make: Callable[[Reign], Input | object], done: Answered
    ) -> None:
        self._world = world
        self._make = make
        self._done = done
        self._random = world.kernel.random("people")
        self._tries = 0
        self._is_answered = False
        # A frozen or slow leader may still act on an earlier try.
        self._ask()

    def _ask(self) -> None:
        if self._is_answered:
            return
        self._tries += 1
        world = self._world
        kernel = world.kernel
        leader = world.leader()
        if leader is not None:
            delay = world.network.delay()
            kernel.after(delay, leader.process, self._arrive, leader, self._tries)
        kernel.after(_PATIENCE, None, self._again, self._tries)

    def _again(self, tries: int) -> None:
        if tries == self._tries:
            self._ask()

    def _arrive(self, leader: Reign, tries: int) -> None:
        request = self._make(leader)
        if isinstance(request, str):
            self._reply(tries, request)  # known from the store
            return
        try:
            leader.put(request, lambda reply: self._reply(tries, reply))  # type: ignore[arg-type]
        except NotLeadingError as error:
            self._reply(tries, error)

    def _reply(self, tries: int, reply: object) -> None:
        delay = self._world.network.delay()
        self._world.kernel.after(delay, None, self._hear, tries, reply)

    def _hear(self, tries: int, reply: object) -> None:
        if self._is_answered:
            return
        if isinstance(reply, NotLeadingError):
            if tries == self._tries:
                self._tries += 1
                pause = self._random.randint(50_000, SECOND)
                self._world.kernel.after(pause, None, self._again, self._tries)
            return
        self._is_answered = True
        self._done(reply)


class People:
    """Everybody who uses the control plane of a world."""

    def __init__(self, world: World, kinds: tuple[Kind, ...]) -> None:
        self._world = world
        self._kernel = world.kernel
        self._witness = world.witness
        self._random = world.kernel.random("people")
        self._kinds = kinds
        self._revisions = {kind.name: 1 for kind in kinds}
        self._deleted: set[str] = set()
        self._numbers = 0
        self.is_quiet = False
        self._unquieted = {kind.name for kind in kinds if kind.period}

    def begin(self, load_until: int) -> None:
        """Define the jobs, then use them until the load ends."""
        random, after = self._random, self._kernel.after
        for kind in self._kinds:
            after(random.randint(300_000, 900_000), None, self.define, kind.name)
        manual = [kind for kind in self._kinds if not kind.period]
        for _ in range(random.randint(2, 9) if manual else 0):
            at = random.randint(SECOND, load_until)
            after(at, None, self.submit, random.choice(manual).name)
        for _ in range(random.randint(0, 3)):
            after(random.randint(5 * SECOND, load_until), None, self.cancel_some)
        if random.random() < 0.3:
            name = random.choice(self._kinds).name
            after(random.randint(5 * SECOND, load_until), None, self.edit, name)
        if random.random() < 0.15:
            name = random.choice(self._kinds).name
            after(random.randint(10 * SECOND, load_until), None, self.delete, name)

    def quieten(self) -> None:
        """Switch off what schedules start, so that the world can come to rest."""
        for name in sorted(self._unquieted):
            change: Input = SetJobEnabled(key(name), enabled=False)
            if KINDS[name].period < 10:
                # Its skipped due times would be most of what happens from now on.
                self._withdraw(name)
                change = DeleteJob(key(name))
            Call(self._world, partial(_same, change), self._quietened(name))
        self.is_quiet = not self._unquieted

    def _quietened(self, name: str) -> Answered:
        def done(_reply: object) -> None:
            self._unquieted.discard(name)
            self.is_quiet = not self._unquieted

        return done

    # Definitions ------------------------------------------------------------------------

    def define(self, name: str) -> None:
        revision = self._revisions[name]
        spec = spec_named(name, revision)
        apply = ApplyJobs(specs=(spec,), sources=("api",))

        def done(reply: object) -> None:
            if isinstance(reply, RefusedError):
                raise AssertionError(reply)
            stored = finish(self._world.store.job(spec.key))
            is_stored = stored is not None or name in self._deleted
            self._witness.defined_job(name, is_stored)
            leader = self._world.leader()
            if revision > 1 or leader is None or name in self._deleted:
                return
            for schedule in spec.schedules:
                period = KINDS[name].period * SECOND
                # Between the commit and now its clock may have been set: two seconds on.
                self._witness.promised(schedule.id, period, leader.now() + 2 * SECOND)

        Call(self._world, lambda _leader: apply, done)

    def edit(self, name: str) -> None:
        """Change a word of the definition; nothing else may change."""
        self._revisions[name] += 1
        self.define(name)

    def delete(self, name: str) -> None:
        """Remove a definition; what runs of it runs on."""
        self._withdraw(name)
        Call(self._world, partial(_same, DeleteJob(key(name))), lambda _reply: None)

    def _withdraw(self, name: str) -> None:
        self._deleted.add(name)
        # Who defines it again has made another job.
        self._witness.limits.pop(name, None)
        spec = spec_named(name)
        leader = self._world.leader()
        # As of the earliest instant at which the deletion may take hold.
        since = 0 if leader is None else leader.now() - 2 * SECOND
        for schedule in spec.schedules:
            self._witness.withdrawn(schedule.id, since)

    # Executions -------------------------------------------------------------------------

    def submit(self, name: str) -> None:
        self._numbers += 1
        number = self._numbers
        request_id = f"request-{number}"
        self._witness.asked(request_id)
        tries = 0

        def make(leader: Reign) -> object:
            nonlocal tries
            tries += 1
            known = finish(
                self._world.store.executions_of_requests(
                    namespace=NAMESPACE, request_ids=[request_id]
                )
            )
            if request_id in known:
                return known[request_id]
            one = Submission(
                f"manual-{number}-{tries}", {}, name, request_id=request_id
            )
            return Submit(
                namespace=NAMESPACE,
                workspace=STANDALONE,
                trigger="api",
                requested_by="alice",
                submissions=(one,),
            )

        def done(reply: object) -> None:
            if isinstance(reply, RefusedError):
                return  # the job is deleted, or not there yet
            (execution_id,) = reply if isinstance(reply, tuple) else (str(reply),)
            self._witness.answered(request_id, execution_id)

        Call(self._world, make, done)

    def cancel_some(self) -> None:
        """Cancel one of the latest executions, whoever started it."""
        latest: list[Any] = list(self._witness.executions)[-4:]
        if not latest:
            return
        execution_id = self._random.choice(latest)
        self._witness.cancel_asked(execution_id)
        cancel = Cancel(namespace=NAMESPACE, execution_id=execution_id, reason="enough")
        Call(self._world, lambda _leader: cancel, lambda _reply: None)


def _same(request: Input, _leader: Reign) -> Input:
    return request


def key(name: str) -> JobKey:
    return (NAMESPACE, STANDALONE, name)

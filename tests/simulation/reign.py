"""A leader process: the real core, journal and outboxes; their loops are events here.

The contract is that of `leader/journal.py`: the stepper computes at most one step while
another waits and a third is being committed, nothing is said before its commit, a failed
commit ends the term, and the next one is built from the store by the real loading code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterable
from functools import lru_cache
from typing import Any, Final, cast

from jobs_grpc.controlplane.core.core import Core
from jobs_grpc.controlplane.core.fleet.sessions import LOST_KEPT
from jobs_grpc.controlplane.core.rows.changes import ActiveState
from jobs_grpc.controlplane.core.state.draft import Step
from jobs_grpc.controlplane.core.state.effects import (
    CancelWanted,
    DrainWanted,
    LeaseGranted,
    ResultKept,
    SessionGone,
    SessionWelcomed,
    StartGranted,
    StartRefused,
)
from jobs_grpc.controlplane.core.state.inputs import (
    Beat,
    CloseSession,
    Input,
    OpenSession,
    StreamClosed,
)
from jobs_grpc.controlplane.leader import loading
from jobs_grpc.controlplane.leader.journal import Journal, NotLeadingError
from jobs_grpc.controlplane.leader.leader import Leader
from jobs_grpc.controlplane.leader.outboxes import (
    BeatEchoed,
    Item,
    Outbox,
    Outboxes,
    SentAway,
)
from jobs_grpc.controlplane.leader.specs import spec_from_json
from jobs_grpc.controlplane.output.errors import OutputError
from jobs_grpc.controlplane.output.log.plan import plan_group
from jobs_grpc.controlplane.output.log.recovery import Place
from jobs_grpc.controlplane.output.records import Chunk as StoredChunk
from jobs_grpc.controlplane.output.records import Piece
from jobs_grpc.controlplane.rpc.push_fences import PushFences
from jobs_grpc.controlplane.storage.store import StoreError, TermEndedError
from support.stage import finish

from . import talk
from .keeping import Keeping, Pause
from .kernel import SECOND, Clock, Kernel, Process, Signal
from .wire import Wire
from .witness import Witness

_RENEW_EVERY: Final = 5 * SECOND
_LONGEST_SLEEP: Final = SECOND


class Reply:
    """What a caller of the journal awaits, without a loop."""

    __slots__ = ("_answer", "_is_done")

    def __init__(self, answer: Callable[[object], None]) -> None:
        self._answer = answer
        self._is_done = False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, result: object) -> None:
        self._is_done = True
        self._answer(result)

    def set_exception(self, error: BaseException) -> None:
        self._is_done = True
        self._answer(error)


# The same few documents are read at every restart of every world.
_spec_from_json = lru_cache(maxsize=256)(spec_from_json)


def built_core(state: ActiveState, *, term: int, now: int) -> Core:
    """Return what the real loading makes of the store; documents are parsed once."""
    parts: Any = loading
    original, parts.spec_from_json = parts.spec_from_json, _spec_from_json
    try:
        return loading.build_core(state, term=term, now=now)
    finally:
        parts.spec_from_json = original


class Strategies:
    """Where a plant may put its bug; the product's own as they are."""

    journal: type[Journal] = Journal
    build_core: Callable[..., Core] = staticmethod(built_core)
    # How long the welcome says that a session lives, in seconds.
    session_ttl: float = talk.SESSION_SECONDS
    acknowledges_output_early: bool = False
    checks_term: bool = True
    ships_nameless: bool = False


class OutputLogs:
    """What the leader's disk has of output; it outlives leaders."""

    def __init__(self) -> None:
        # By execution and attempt: the owner and its end.
        self.owners: dict[tuple[str, int], tuple[int, Place]] = {}


class _Leadership:
    """What the judge of output looks at."""

    def __init__(self, reign: Reign) -> None:
        self._reign = reign

    @property
    def core(self) -> Core:
        if self._reign.core is None:
            raise NotLeadingError
        return self._reign.core


class Reign:
    """One leader process, from its start to its death."""

    def __init__(
        self,
        name: str,
        *,
        kernel: Kernel,
        clock: Clock,
        store: Keeping,
        logs: OutputLogs,
        witness: Witness,
        strategies: Strategies,
    ) -> None:
        self.process = Process(name)
        self.name = name
        self.outboxes = Outboxes()
        self.core: Core | None = None
        self.journal: Journal | None = None
        self.clock = clock
        self._kernel = kernel
        self._store = store
        self._logs = logs
        self._witness = witness
        self._strategies = strategies
        self._random = kernel.random(f"leader {name}")
        # The step being committed, the one that waits, the one that waits for its room.
        self._commit: Coroutine[Any, Any, None] | None = None
        self._committing: tuple[Step, list[Any]] | None = None
        self._decided: list[tuple[Step, list[Any]]] = []
        self._is_stepping = False
        self._wakes = 0
        self._streams: list[ServerStream] = []
        self._lanes: list[tuple[ServerStream, StoredChunk]] = []
        leader = cast("Leader", _Leadership(self))
        self.fences = PushFences(leader, store, lambda _refused: None)
        self._after(self._random.randint(20_000, 400_000), self._begin_term)

    @property
    def is_leading(self) -> bool:
        return self.process.is_alive and self.journal is not None

    def put(self, one: Input, answer: Callable[[object], None] | None = None) -> None:
        """Hand an input to the core; `answer` gets the reply or the error."""
        if self.journal is None:
            raise NotLeadingError
        reply: Any = None if answer is None else Reply(answer)
        self.journal._put(one, reply)
        self._stir()

    def now(self) -> int:
        return self.clock.now()

    def accept(self, wire: Wire) -> None:
        """A worker has opened a stream."""
        ServerStream(self, wire)

    def die(self) -> None:
        """The process is killed, perhaps in the middle of a commit."""
        if self._committing is not None and self._random.random() < 0.5:
            # The transaction was on its way already.
            step, core = self._committing[0], self.core
            if core is not None and step.changes and not self._store.is_full:
                with contextlib.suppress(StoreError):
                    self._store.write(core.term, step.changes)
        if self._commit is not None:
            self._commit.close()
        self._kernel.kill(self.process)

    # Terms ------------------------------------------------------------------------------

    def _after(self, delay: int, action: Callable[..., None], *args: Any) -> None:
        self._kernel.after(delay, self.process, action, *args)

    def _begin_term(self) -> None:
        try:
            if self._store.is_full:
                raise StoreError("the disk is full")
            now = self.clock.now()
            term = finish(
                self._store.acquire_term(holder=self.name, address="", now=now)
            )
        except StoreError:
            self._after(self._random.randint(0, 2 * SECOND), self._begin_term)
            return
        state = finish(self._store.load_active(lost_since=now - LOST_KEPT))
        core = self._strategies.build_core(state, term=term, now=self.clock.now())
        self._kernel.tell(self.name, "term", term)
        self.core = core
        self.journal = self._strategies.journal(
            core=core, store=self._store, clock=self.clock, release=self._release
        )
        self._wakes += 1
        self._after(_RENEW_EVERY, self._renew, term)
        self._stir()

    def _renew(self, term: int) -> None:
        if self.core is None or self.core.term != term:
            return
        try:
            finish(self._store.renew_term(term, self.clock.now()))
        except StoreError as error:
            self._end_term(error)
        else:
            self._after(_RENEW_EVERY, self._renew, term)

    def _end_term(self, error: StoreError) -> None:
        assert self.journal is not None
        self._kernel.tell(self.name, "term ends", str(error))
        journal, self.journal, self.core = self.journal, None, None
        if self._commit is not None:
            self._commit.close()
            self._commit = None
        if self._committing is not None:
            journal._refuse(self._committing[1])
        for _, futures in self._decided:
            journal._refuse(futures)
        self._committing, self._decided = None, []
        journal._close()
        self.outboxes.send_all_away("the leader changes", 0.5)
        if isinstance(error, TermEndedError):
            return  # a standby reigns; this one waits for its turn, which never comes
        self._after(self._random.randint(0, SECOND // 2), self._begin_term)

    # The journal's two loops ------------------------------------------------------------

    def _stir(self) -> None:
        """The stepper looks whether it is needed."""
        if self._is_stepping or self.journal is None or len(self._decided) > 1:
            return
        journal = self.journal
        now = self.clock.now()
        wake_at = journal._wake_at
        is_needed = (
            journal._arrived.is_set()
            or now < journal._stepped_at
            or (wake_at is not None and wake_at <= now)
        )
        self._wakes += 1
        if is_needed:
            self._is_stepping = True
            self._after(self._random.randint(10, 600), self._step, journal)
        else:
            delay = _LONGEST_SLEEP
            if wake_at is not None:
                delay = min(delay, wake_at - now)
            self._after(delay, self._wake, self._wakes)

    def _wake(self, wakes: int) -> None:
        if wakes == self._wakes:
            self._stir()

    def _step(self, journal: Journal) -> None:
        self._is_stepping = False
        if journal is not self.journal:
            self._stir()
            return
        self._decided.append(journal.step_once())
        self._commit_next()
        self._stir()

    def _commit_next(self) -> None:
        while self._commit is None and self._decided and self.journal is not None:
            step, futures = self._decided.pop(0)
            self._committing = (step, futures)
            self._commit = self.journal.commit_once(step, futures)
            self._go_on(None)

    def _go_on(self, verdict: str | None) -> None:
        """Let the commit go on to where it waits, or to its end."""
        assert self._commit is not None
        commit = self._commit
        try:
            waits_for = commit.send(verdict)
        except StopIteration:
            self._commit = self._committing = None
        except StoreError as error:
            self._commit = None
            self._end_term(error)
        else:
            assert isinstance(waits_for, Pause)
            self._after(self._store.delay(), self._committed, commit)

    def _committed(self, commit: Coroutine[Any, Any, None]) -> None:
        if commit is not self._commit:
            return  # the term ended meanwhile
        self._go_on(self._store.verdict())
        self._commit_next()
        self._stir()

    def _release(self, step: Step) -> None:
        witness = self._witness
        for message in step.messages:
            match message:
                case LeaseGranted():
                    witness.leased(message.fence)
                case StartGranted():
                    witness.granted(message.fence)
                case ResultKept():
                    witness.result_kept(message.fence)
                case _:
                    pass
            self.outboxes.deliver(message)

    # Output -----------------------------------------------------------------------------

    def take_output(self, stream: ServerStream, chunk: StoredChunk) -> None:
        """A chunk arrived; a group of them is written and synced together."""
        if not self._lanes:
            self._after(10 * self._store.delay(), self._store_output)
        self._lanes.append((stream, chunk))
        if self._strategies.acknowledges_output_early:
            stream.send(talk.OutputAck(chunk.fence, chunk.end, False))

    def _store_output(self) -> None:
        lanes, self._lanes = self._lanes, []
        if self._store.is_full:
            for stream in dict.fromkeys(stream for stream, _ in lanes):
                stream.break_output()
            return
        by_key: dict[tuple[str, int], list[tuple[ServerStream, StoredChunk]]] = {}
        for stream, chunk in lanes:
            place = (chunk.key.execution_id, chunk.key.attempt)
            by_key.setdefault(place, []).append((stream, chunk))
        for place, group in by_key.items():
            owner, tail = self._logs.owners.get(place, (None, Place(0, 0)))
            chunks = [chunk for _, chunk in group]
            plan = plan_group(chunks[0].key, chunks, fence=owner, tail=tail)
            self._logs.owners[place] = (plan.fence, plan.end)
            for piece in plan.pieces:
                assert isinstance(piece, Piece)
                self._witness.output_stored(plan.fence, piece.offset, piece.data)
            for ack in plan.acks:
                if not ack.refused:
                    self._witness.output_kept(ack.fence, ack.offset)
                told = {stream for stream, chunk in group if chunk.fence == ack.fence}
                for stream in sorted(told, key=lambda one: one.number):
                    stream.send(talk.OutputAck(ack.fence, ack.offset, ack.refused))


class ServerStream:
    """The leader's side of a worker's stream: `rpc/worker_service.py` as events."""

    def __init__(self, reign: Reign, wire: Wire) -> None:
        self._reign = reign
        self._end = wire.leader
        self._outbox: Outbox | None = None
        self._session_id = ""
        self._waiting: list[talk.Said] = []
        self._is_over = False
        self._is_output_broken = False
        self.number = 0
        wire.leader.on_message = self._take
        wire.leader.on_closed = self._closed

    def send(self, message: talk.Heard) -> None:
        if not self._is_over:
            self._end.send(message)

    def break_output(self) -> None:
        """End the stream of output; that of the session goes on."""
        self._is_output_broken = True
        self.send(talk.OutputBroken())

    def _take(self, message: talk.Said) -> None:
        if isinstance(message, talk.Hello):
            self._greet(message)
        elif not self._session_id:
            self._waiting.append(message)
        else:
            self._read(message)

    def _greet(self, hello: talk.Hello) -> None:
        reign = self._reign
        outbox = self._outbox = reign.outboxes.open()
        self.number = outbox.stream
        outbox._filled = Signal(self._write_soon)  # type: ignore[assignment]
        new_session = f"session-{reign._random.getrandbits(64):016x}"
        opened = OpenSession(
            stream=outbox.stream,
            new_session_id=new_session,
            worker_id=hello.worker_id,
            worker=hello.worker,
            labels={},
            slots=hello.slots,
            functions=(),
            held=hello.held,
            version="0.1.0",
        )
        try:
            reign.put(opened, self._opened)
        except NotLeadingError:
            self._over()

    def _opened(self, reply: object) -> None:
        if isinstance(reply, BaseException):
            self._over()
            return
        self._session_id = str(reply)
        waiting, self._waiting = self._waiting, []
        for message in waiting:
            self._read(message)

    def _read(self, message: talk.Said) -> None:
        assert self._outbox is not None
        try:
            match message:
                case talk.Reported():
                    self._reign.put(talk.reports(self._session_id, message))
                case talk.Heartbeat():
                    self._reign.put(Beat(self._session_id))
                    self._outbox.put(BeatEchoed(message.sequence))
                case talk.Goodbye():
                    closed = CloseSession(self._session_id, self._outbox.stream)
                    self._reign.put(closed)
                case talk.OutputOpened():
                    self._is_output_broken = False
                case talk.OutputChunk():
                    self._push(message)
                case talk.Hello():
                    raise AssertionError(message)
        except NotLeadingError:
            self._over()

    def _push(self, message: talk.OutputChunk) -> None:
        reign = self._reign
        if self._is_output_broken:
            return
        try:
            chunk = talk.chunk_of(message.chunk)
        except OutputError:
            self.break_output()
            return
        if finish(reign.fences.admit(chunk)):
            reign.take_output(self, chunk)
        else:
            self.send(talk.OutputAck(chunk.fence, 0, True))

    def _write_soon(self) -> None:
        self._reign._after(self._reign._random.randint(5, 300), self._write)

    def _write(self) -> None:
        outbox = self._outbox
        assert outbox is not None
        items = list(outbox._items)
        outbox._items.clear()
        if self._is_over or not items:
            return
        for message in self._messages(items):
            self._end.send(message)
        if any(isinstance(item, SentAway | SessionGone) for item in items):
            self._over()

    def _messages(self, items: Iterable[Item]) -> Iterable[talk.Heard]:
        """Group them as the service does: the order is its own."""
        leases: list[LeaseGranted] = []
        cancels: list[tuple[int, str]] = []
        acks = talk.Acks([], [], [])
        for item in items:
            match item:
                case LeaseGranted():
                    leases.append(item)
                case StartGranted():
                    acks.granted.append(item.fence)
                case StartRefused():
                    acks.refused.append(item.fence)
                case ResultKept():
                    acks.finished.append(item.fence)
                case CancelWanted():
                    cancels.append((item.fence, item.reason))
                case DrainWanted():
                    # Nobody drains a worker of this world.
                    continue
                case _:
                    yield self._message_of(item)
        if leases:
            yield talk.Leases([talk.lease_of(one) for one in leases])
        if cancels:
            yield talk.Cancels(cancels)
        if any(acks):
            yield acks

    def _message_of(
        self, item: SessionWelcomed | SessionGone | BeatEchoed | SentAway
    ) -> talk.Heard:
        match item:
            case SessionWelcomed():
                core = self._reign.core
                return talk.Welcome(
                    item.session_id,
                    0 if core is None else core.term,
                    self._reign._strategies.session_ttl,
                    dict(item.verdicts),
                )
            case BeatEchoed():
                return talk.HeartbeatAck(item.sequence)
            case SentAway():
                return talk.GoAway(item.after)
            case SessionGone():
                return talk.GoAway(0.0)

    def _closed(self) -> None:
        """The stream has ended on the other side, or nobody answers there."""
        self._over()

    def _over(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._end.close()
        reign = self._reign
        if self._outbox is None:
            return
        reign.outboxes.close(self._outbox)
        if self._session_id:
            try:
                reign.put(StreamClosed(self._session_id, self._outbox.stream))
            except NotLeadingError:
                return

"""The session process of a worker: the real session, trust window, restoring, shipping.

Modelled are what surrounds them: the stream (`connection/`), the journal's file, the
process runner's talk with the keeper. Each keeps the promises of the module it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jobs_grpc.worker.attempts.attempt import Attempt
from jobs_grpc.worker.attempts.table import State
from jobs_grpc.worker.journal import entries
from jobs_grpc.worker.journal.frames import unframe
from jobs_grpc.worker.journal.notes import Notes
from jobs_grpc.worker.keeper.protocol import AttemptStatus
from jobs_grpc.worker.keeper.record import ExitRecord
from jobs_grpc.worker.processes.result import result_of
from jobs_grpc.worker.restore import restore
from jobs_grpc.worker.session import Session
from jobs_grpc.worker.shipping import Chunk, Shipping, _Output
from jobs_grpc.worker.trust import Trust
from jobs_grpc.worker.work import Outcome, ReportKind, Result, Verdict

from . import talk
from .keeper import Order
from .kernel import SECOND, Process, Signal
from .wire import Wire

if TYPE_CHECKING:
    from .host import Host

_WELCOME: Final = 15 * SECOND
_BEAT: Final = int(talk.HEARTBEAT_SECONDS * SECOND)
_PATIENCE: Final = 2 * talk.HEARTBEAT_SECONDS + 5
_LINGER: Final = 2_000
_NOTES: Final = 100_000
_RETRY: Final = SECOND
_NOWHERE: Final = Path("/nowhere")


class VirtualShipping(Shipping):
    """The real shipping; its spools are on a virtual disk."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon.host.clock)
        self._daemon = daemon
        self._stirred = Signal(daemon.ship_soon)  # type: ignore[assignment]

    def track(self, attempt: Attempt, spool: Path) -> None:
        if self._daemon.host.ships_nameless and attempt.fence not in self._outputs:
            self._outputs[attempt.fence] = _Output(attempt, spool)
        else:
            super().track(attempt, spool)

    def turn(self) -> list[Chunk]:
        """Return what may be sent now; empty when there is nothing."""
        while self._queue:
            output = self._queue.popleft()
            output.is_queued = False
            if output.reader is None:
                output.reader = self._daemon.spool_view(output.fence, output.sent)
            chunks = self._read(output)
            self._enqueue(output)
            if chunks:
                return chunks
        return []


class ResultJournal:
    """`journal/journal.py` on a virtual disk."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host
        self._notes = Notes()
        self._is_noting = False
        self._ended: list[Attempt] = []
        self._is_busy = False

    def recollect(self) -> entries.Recollection:
        recollection = entries.Recollection()
        for payload in unframe(b"".join(self._host.journal)):
            recollection.apply(payload)
        return recollection

    def open(self) -> None:
        """Begin a segment with what is live."""
        self._rewrite()

    def reserve(self, attempt: Attempt) -> bool:
        """Room is not simulated: what is written is."""
        return True

    def unreserve(self, attempt: Attempt) -> None:
        """See `reserve`."""

    def begin(self, attempts: Iterable[Attempt]) -> None:
        held = list(attempts)
        if not self._append(entries.begun(held)):
            # Nobody can name their output after a restart.
            self._host.witness.unnoted.update(one.fence for one in held)

    def end(self, attempt: Attempt) -> None:
        self._ended.append(attempt)
        if not self._is_busy:
            self._is_busy = True
            self._daemon.after(20, self._commit)

    def keep(self, attempt: Attempt) -> None:
        self._notes.kept.append(attempt)
        self._note_soon()

    def acknowledge(self, at: int, fences: Iterable[int]) -> None:
        self._notes.acknowledged.append((at, tuple(fences)))
        self._note_soon()

    def forget(self, fences: Iterable[int]) -> None:
        self._notes.forgotten += fences
        self._note_soon()

    def after_notes(self, callback: Callable[[], None]) -> None:
        if self._notes:
            self._notes.callbacks.append(callback)
        else:
            callback()

    def _append(self, data: bytes) -> bool:
        if self._host.is_full:
            return False
        self._host.journal.append(data)
        return True

    def _commit(self) -> None:
        group, self._ended = self._ended, []
        if self._append(entries.ended(group) + self._notes.encode()):
            self._notes.written()
            length = len(self._host.journal)
            self._daemon.after(self._host.sync_delay(), self._synced, group, length)
        else:
            self._daemon.after(_RETRY, self._recover, group)

    def _recover(self, group: list[Attempt]) -> None:
        if self._host.is_full:
            self._daemon.after(_RETRY, self._recover, group)
            return
        self._rewrite()
        self._synced(group, len(self._host.journal))

    def _synced(self, group: list[Attempt], length: int) -> None:
        self._host.journal_synced = max(self._host.journal_synced, length)
        self._daemon.session.durable(group)
        if self._ended:
            self._commit()
        else:
            self._is_busy = False

    def _note_soon(self) -> None:
        if not self._is_noting:
            self._is_noting = True
            self._daemon.after(_NOTES, self._write_notes)

    def _write_notes(self) -> None:
        self._is_noting = False
        if not self._notes:
            return
        if self._append(self._notes.encode()):
            self._notes.written()
        else:
            self._note_soon()

    def _rewrite(self) -> None:
        host = self._host
        live = list(self._daemon.session.registry.story())
        story = [entries.header(str(host.boot))]
        if live:
            story.append(entries.begun(attempt for attempt, _ in live))
        story.append(entries.ended(one for one, _ in live if one.result is not None))
        for attempt, at in live:
            if at is not None:
                story.append(entries.acknowledged(at, (attempt.fence,)))
        host.journal = story
        host.journal_synced = len(story)
        self._notes.written()


class ProcessRunner:
    """`processes/runner.py` without its loop: the same questions and answers."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host
        self._attempts: dict[int, Attempt] = {}
        self._known: set[int] = set()
        self._unanswered: dict[int, Order] = {}
        self._timeouts: dict[int, float] = {}
        self._broken_off: list[int] = []

    @property
    def session(self) -> Session:
        return self._daemon.session

    def reserve(self, attempt: Attempt) -> None:
        attempt.place = 1

    def begin(self, attempt: Attempt) -> None:
        self._attempts[attempt.fence] = attempt
        delay = self._host.random.randint(20, 2_000)
        self._daemon.after(delay, self._start, attempt, self._host.kernel.now)

    def cancel(self, attempt: Attempt) -> None:
        self._daemon.to_keeper(lambda keeper: keeper.cancel(attempt.fence))

    def release(self, attempt: Attempt) -> None:
        attempt.place = 0
        self._forget(attempt.fence)

    def adopt(self, attempt: Attempt, status: AttemptStatus) -> None:
        self._attempts[attempt.fence] = attempt
        self._known.add(attempt.fence)
        self._daemon.shipping.track(attempt, _NOWHERE)
        self._daemon.shipping.grown(attempt.fence, status.output_bytes)

    def compare(self, statuses: Iterable[AttemptStatus]) -> None:
        """A new keeper answers: put its listing beside what is held."""
        found = {status.fence: status for status in statuses}
        unanswered, self._unanswered = self._unanswered, {}
        for fence in (*sorted(self._known), *unanswered):
            attempt, status = self._attempts.get(fence), found.get(fence)
            if attempt is None:
                continue
            if status is not None:
                self._compare_one(attempt, status)
            elif fence in unanswered:
                self._ask(attempt, unanswered[fence])
            else:
                self._end_here(attempt, Outcome.LOST, "the record is gone")
        broken_off, self._broken_off = self._broken_off, []
        for fence in broken_off:
            self._forget(fence)

    def exited(self, record: ExitRecord) -> None:
        """The record of an end is on disk."""
        fence = record.fence
        attempt = self._attempts.pop(fence, None)
        self._known.discard(fence)
        timeout = self._timeouts.pop(fence, None)
        if attempt is None or attempt.state not in {State.STARTING, State.RUNNING}:
            return
        result = result_of(record, timeout_seconds=timeout)
        # The witness knows by it whose result was believed.
        result = result._replace(result_json=str(fence))
        self.session.ended(attempt, result, is_durable=True)

    def _start(self, attempt: Attempt, ordered_at: int) -> None:
        if attempt.stop_reason is not None:
            self._end_here(attempt, Outcome.CANCELLED, attempt.stop_reason)
            return
        lease = attempt.lease
        assert lease is not None
        seconds = lease.timeout_seconds or 3600.0
        self._timeouts[attempt.fence] = seconds
        order = Order(
            attempt.fence,
            lease.execution_id,
            lease.attempt,
            lease.job,
            int(seconds * SECOND),
            int(lease.grace_seconds * SECOND),
            ordered_at,
        )
        self._ask(attempt, order)

    def _ask(self, attempt: Attempt, order: Order) -> None:
        self._daemon.shipping.track(attempt, _NOWHERE)
        self._unanswered[order.fence] = order
        self._daemon.to_keeper(
            lambda keeper: keeper.start(
                order, lambda at: self._daemon.from_keeper(self._began, attempt, at)
            )
        )

    def _began(self, attempt: Attempt, started_at: int) -> None:
        fence = attempt.fence
        self._unanswered.pop(fence, None)
        if fence not in self._attempts:
            return
        self._known.add(fence)
        self.session.started(attempt, started_at, 1)
        if attempt.stop_reason is not None:
            self.cancel(attempt)

    def _end_here(self, attempt: Attempt, outcome: Outcome, words: str) -> None:
        if self._attempts.pop(attempt.fence, None) is None:
            return
        self._known.discard(attempt.fence)
        now = self._host.clock.now()
        started_at = attempt.started_at if outcome is Outcome.LOST else 0
        result = Result(outcome, started_at, now, error=words)
        self.session.ended(attempt, result, is_durable=False)

    def _compare_one(self, attempt: Attempt, status: AttemptStatus) -> None:
        if status.record is not None:
            self.exited(status.record)
            return
        self.adopt(attempt, status)
        self.session.started(attempt, status.started_at_us, status.pid)
        if attempt.stop_reason is not None:
            self.cancel(attempt)

    def _forget(self, fence: int) -> None:
        if not self._daemon.to_keeper(lambda keeper: keeper.forget(fence)):
            self._broken_off.append(fence)


class VirtualAnnouncer:
    """`attempts/announcer.py` with a timer of the world."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._young: list[Attempt] = []

    def begun(self, attempt: Attempt) -> None:
        if not self._young:
            self._daemon.after(3_000, self._announce)
        self._young.append(attempt)

    def announce_now(self, attempt: Attempt) -> None:
        if attempt in self._young:
            self._daemon.session.outbox.add(ReportKind.STARTED, attempt)

    def _announce(self) -> None:
        young, self._young = self._young, []
        for attempt in young:
            if attempt.state is State.RUNNING:
                self._daemon.session.outbox.add(ReportKind.STARTED, attempt)


class Daemon:
    """One session process, from its start to its death."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.process = Process(f"daemon of {host.name}")
        self._random = host.random
        self._keeper: Any = None
        self._stream: WorkerStream | None = None
        self._window = 0
        self._is_shipping = False
        self._is_writing = False
        self._written_at = 0
        self.trust = Trust(host.clock)
        self.shipping = VirtualShipping(self)
        self.journal = ResultJournal(self)
        self.processes = ProcessRunner(self)
        self.session = Session(
            slots=host.slots,
            clock=host.clock,
            trust=self.trust,
            journal=self.journal,
            outputs=self.shipping,
            functions=self.processes,
            processes=self.processes,
        )
        self.session._announcer = VirtualAnnouncer(self)  # type: ignore[assignment]
        self.session.outbox._stirred = Signal(self.write_soon)  # type: ignore[assignment]
        self.shipping.on_settled = self.session.output_settled
        self.after(self._random.randint(100_000, 400_000), self._open_keeper)

    def after(self, delay: int, action: Callable[..., None], *args: Any) -> None:
        self.host.kernel.after(delay, self.process, action, *args)

    def die(self) -> None:
        self.host.kernel.kill(self.process)
        keeper = self.host.keeper
        if keeper is not None and keeper is self._keeper:
            keeper.on_exit = keeper.on_growth = None

    def spool_view(self, fence: int, offset: int) -> Any:
        from .host import SpoolView

        return SpoolView(self.host.spools.get(fence), offset)

    # The keeper -------------------------------------------------------------------------

    def _open_keeper(self) -> None:
        """Reach the keeper; then put the past together, once."""
        keeper = self.host.need_keeper()
        if keeper is None:
            self.after(self._random.randint(50_000, 300_000), self._open_keeper)
            return
        is_first = self._keeper is None
        self._keeper = keeper
        keeper.on_exit = lambda record: self.from_keeper(self.processes.exited, record)
        keeper.on_growth = lambda fence, size: self.from_keeper(
            self.shipping.grown, fence, size
        )
        statuses = keeper.listing()
        if is_first:
            self._take_over(statuses)
        else:
            self.processes.compare(statuses)

    def _take_over(self, statuses: list[AttemptStatus]) -> None:
        restored = restore(
            statuses,
            self.journal.recollect(),
            boot_id=str(self.host.boot),
            now=self.host.clock.now(),
            function_spool=lambda fence: _NOWHERE,
        )
        for attempt in restored:
            if attempt.result is not None and not attempt.result.result_json:
                token = str(attempt.fence)
                attempt.result = attempt.result._replace(result_json=token)
        self.session.restore(restored)
        self.journal.open()
        for attempt, status in restored.running:
            self.processes.adopt(attempt, status)
        for attempt in (*restored.ended, *restored.cut_short):
            self._ship_rest(attempt)
        for attempt, _ in restored.acknowledged:
            self._ship_rest(attempt)
        self.session.tidy()
        self._connect()

    def _ship_rest(self, attempt: Attempt) -> None:
        assert attempt.result is not None
        size = attempt.result.output_bytes
        if size and attempt.fence in self.host.spools:
            self.shipping.track(attempt, _NOWHERE)
            self.shipping.end(attempt.fence, size)

    def keeper_lost(self) -> None:
        """The socket of the keeper broke."""
        if self.process.is_alive and self._keeper is not None:
            self.after(self._random.randint(100, 20_000), self._open_keeper)

    def to_keeper(self, request: Callable[[Any], Any]) -> bool:
        """Send a request; False if the socket is broken already."""
        keeper = self._keeper
        if keeper is None or not keeper.process.is_alive:
            return False
        # What was written to the socket is read, whatever becomes of the writer.
        self.host.kernel.after(
            self._random.randint(50, 1_500), keeper.process, request, keeper
        )
        return True

    def from_keeper(self, action: Callable[..., None], *args: Any) -> None:
        """Something arrives from the keeper, in order."""
        self.after(300, action, *args)

    # The stream -------------------------------------------------------------------------

    def _connect(self) -> None:
        self._stream = WorkerStream(self)

    def stream_ended(self, *, was_welcomed: bool, after: float | None) -> None:
        """Come back after a while, with a growing window."""
        self._stream = None
        self.session.disconnected()
        if was_welcomed:
            self._window = 0
        if after is None:
            self._window = min(30 * SECOND, self._window * 2 or SECOND // 2)
            delay = int(self._random.random() * self._window)
        else:
            delay = int(after * SECOND)
        self.after(delay, self._connect)

    def write_soon(self) -> None:
        """The outbox has news."""
        if not self._is_writing:
            self._is_writing = True
            linger = max(100, self._written_at + _LINGER - self.host.kernel.now)
            self.after(linger, self._write)

    def _write(self) -> None:
        self._is_writing = False
        self._written_at = self.host.kernel.now
        stream = self._stream
        if stream is None or not stream.is_serving:
            return
        stream.beat_if_due()
        while batch := self.session.batch():
            reports = tuple(talk.report_of(news) for news in batch)
            stream.say(talk.Reported(reports))

    def ship_soon(self) -> None:
        if not self._is_shipping:
            self._is_shipping = True
            self.after(500, self._ship)

    def _ship(self) -> None:
        self._is_shipping = False
        stream = self._stream
        if stream is None or not stream.is_serving or stream.is_output_broken:
            return
        while chunks := self.shipping.turn():
            for chunk in chunks:
                stream.say(talk.OutputChunk(chunk))

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is left to be told or shipped."""
        held = self.session.registry.held
        return not held and not self.shipping._outputs


class WorkerStream:
    """One life of the session's stream: `connection/stream.py` as events."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._host = daemon.host
        self._wire: Wire | None = None
        self.is_serving = False
        self.is_output_broken = False
        self._is_over = False
        self._sequence = 0
        self._is_beat_due = False
        self._beats: dict[int, float] = {}
        self._heard_at = 0.0
        self._sent_at = 0.0
        self._open()

    def _open(self) -> None:
        host, network = self._host, self._host.network
        leader = next((one for one in reversed(host.leaders) if one.is_leading), None)
        if leader is None or leader.process.is_frozen or network.cuts.get(host.name):
            delay = host.random.randint(1_000, 3 * SECOND)
            self._daemon.after(delay, self._end, None)
            return
        wire = self._wire = network.connect(
            host.name, self._daemon.process, leader.process
        )
        wire.worker.on_message = self._take
        wire.worker.on_closed = lambda: self._end(None)
        leader.accept(wire)
        self._sent_at = host.clock.monotonic()
        held = tuple(talk.held_of(one) for one in self._daemon.session.registry)
        host_id = f"id-of-{host.name}"
        wire.worker.send(talk.Hello(host_id, host.name, host.slots, held))
        self._daemon.after(_WELCOME, self._no_welcome)

    def say(self, message: talk.Said) -> None:
        if self._wire is not None and not self._is_over:
            self._wire.worker.send(message)

    def beat_if_due(self) -> None:
        if self._is_beat_due:
            self._is_beat_due = False
            self._sequence += 1
            self._beats[self._sequence] = self._host.clock.monotonic()
            self.say(talk.Heartbeat(self._sequence))

    def _no_welcome(self) -> None:
        if not self.is_serving:
            self._end(None)

    def _end(self, after: float | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        was_welcomed, self.is_serving = self.is_serving, False
        if self._wire is not None:
            self._wire.worker.close()
        self._daemon.stream_ended(was_welcomed=was_welcomed, after=after)

    def _take(self, message: talk.Heard) -> None:
        if self._is_over:
            return
        session = self._daemon.session
        match message:
            case talk.Welcome():
                self._welcomed(message)
            case talk.Leases(leases):
                session.leased(leases)
            case talk.Acks(finished, refused, granted):
                session.acknowledged(finished)
                session.refused(refused)
                session.granted(granted)
            case talk.Cancels(cancels):
                for fence, reason in cancels:
                    session.cancelled(fence, reason)
            case talk.HeartbeatAck(sequence):
                self._acknowledged(sequence)
            case talk.OutputAck(fence, offset, is_refused):
                self._daemon.shipping.acknowledged(fence, offset, is_refused=is_refused)
            case talk.OutputBroken():
                self.is_output_broken = True
                delay = int(self._host.random.random() * SECOND)
                self._daemon.after(delay, self._reopen_output)
            case talk.GoAway(after):
                self._end(after)

    def _welcomed(self, welcome: talk.Welcome) -> None:
        host, daemon = self._host, self._daemon
        if welcome.term < host.highest_term:
            self._end(None)
            return
        self.is_serving = True
        host.session_id = welcome.session_id
        host.highest_term = max(host.highest_term, welcome.term)
        daemon.trust.grant(self._sent_at, welcome.ttl_seconds)
        self._heard_at = host.clock.monotonic()
        host.kernel.tell(host.name, "welcomed", welcome.session_id, welcome.verdicts)
        verdicts = {fence: Verdict(word) for fence, word in welcome.verdicts.items()}
        daemon.session.judged(verdicts)
        daemon.shipping.connected()
        daemon.write_soon()
        daemon.after(_BEAT, self._beat)

    def _reopen_output(self) -> None:
        self.is_output_broken = False
        if not self._is_over:
            self.say(talk.OutputOpened())
            self._daemon.shipping.connected()
            self._daemon.ship_soon()

    def _acknowledged(self, sequence: int) -> None:
        sent_at = self._beats.pop(sequence, None)
        if sent_at is not None:
            self._heard_at = self._host.clock.monotonic()
            self._daemon.trust.renew(sent_at)
            self._daemon.session.trusted()

    def _beat(self) -> None:
        if self._is_over:
            return
        if self._host.clock.monotonic() - self._heard_at > _PATIENCE:
            self._end(None)
            return
        self._is_beat_due = True
        self._daemon.session.remind()
        self._daemon.shipping.remind()
        self._daemon.write_soon()
        self._daemon.after(_BEAT, self._beat)

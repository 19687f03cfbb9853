from __future__ import annotations

from pathlib import Path

import pytest

from jobs_grpc.worker.identity import DirectoryTakenError, Identity
from jobs_grpc.worker.trust import MARGIN_SECONDS, Trust
from unit.worker.stand_ins import StillClock


def taken(directory: Path) -> Identity:
    identity = Identity(directory)
    identity.take()
    return identity


def test_an_identity_is_minted_once(tmp_path: Path) -> None:
    first = taken(tmp_path / "data")
    assert first.worker_id
    assert (first.session_id, first.highest_term) == ("", 0)
    first.release()
    assert taken(tmp_path / "data").worker_id == first.worker_id


def test_a_directory_serves_one_worker(tmp_path: Path) -> None:
    first = taken(tmp_path)
    with pytest.raises(DirectoryTakenError, match=r"another worker \(pid \d+\) runs"):
        taken(tmp_path)
    first.release()
    taken(tmp_path)


def test_session_and_term_outlive_the_process(tmp_path: Path) -> None:
    first = taken(tmp_path)
    first.welcomed("a-session", 7)
    first.release()
    second = taken(tmp_path)
    assert (second.session_id, second.highest_term) == ("a-session", 7)
    second.ended()
    second.release()
    third = taken(tmp_path)
    assert (third.session_id, third.highest_term) == ("", 7)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"session_id": 1}', "\x00"])
def test_a_damaged_session_file_costs_the_session_only(
    tmp_path: Path, text: str
) -> None:
    first = taken(tmp_path)
    first.release()
    (tmp_path / "session.json").write_text(text)
    second = taken(tmp_path)
    assert second.worker_id == first.worker_id
    assert second.session_id == ""


class TestTrust:
    def test_it_is_counted_from_the_send_of_what_was_acknowledged(self) -> None:
        clock = StillClock()
        trust = Trust(clock)
        assert not trust.holds()
        sent_at = clock.monotonic()
        clock.advance(10)
        trust.grant(sent_at, 30)
        clock.advance(30 - MARGIN_SECONDS - 10 - 0.01)
        assert trust.holds()
        clock.advance(0.02)
        assert not trust.holds()

    def test_a_late_answer_to_an_old_heartbeat_does_not_shorten_it(self) -> None:
        clock = StillClock()
        trust = Trust(clock)
        trust.grant(clock.monotonic(), 30)
        trust.renew(clock.monotonic() + 10)
        trust.renew(clock.monotonic() + 5)
        clock.advance(34)
        assert trust.holds()

    def test_a_short_time_to_live_has_a_small_margin(self) -> None:
        clock = StillClock()
        trust = Trust(clock)
        trust.grant(clock.monotonic(), 3)
        clock.advance(2.4)
        assert trust.holds()
        clock.advance(0.2)
        assert not trust.holds()

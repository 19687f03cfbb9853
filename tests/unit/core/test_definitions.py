from __future__ import annotations

import pytest

from jobs_grpc.controlplane.core.state.effects import JobApplied, JobDeleted
from jobs_grpc.controlplane.core.state.errors import (
    InvalidError,
    JobNotFoundError,
    QueueNotFoundError,
)
from jobs_grpc.controlplane.core.state.inputs import (
    Applied,
    Cancel,
    DeleteJob,
    SetJobEnabled,
)
from support.jobs import MINUTE, NAMESPACE, NOON, apply, key, spec, submission, submit
from support.stage import Stage, finish


def test_a_definition_is_created_then_unchanged_then_updated(stage: Stage) -> None:
    first = stage.ask(apply(spec(command="true")))
    again = stage.ask(apply(spec(command="true")))
    other = stage.ask(apply(spec(command="false")))
    assert first == (Applied(key(), "created", 1),)
    assert again == (Applied(key(), "unchanged", 1),)
    assert other == (Applied(key(), "updated", 2),)
    assert [fact.outcome for fact in stage.said(JobApplied)] == ["created", "updated"]


def test_an_unchanged_definition_writes_nothing(stage: Stage) -> None:
    stage.apply(schedule="every 1h")
    assert not stage.step(apply(spec(schedule="every 1h"))).changes


def test_a_request_is_applied_whole_or_not_at_all(stage: Stage) -> None:
    wrong = spec(name="b", queue="nowhere")
    with pytest.raises(QueueNotFoundError) as refused:
        stage.ask(apply(spec(name="a"), wrong, spec(name="c")))
    assert '"default/b"' in refused.value.message
    assert "critical, default, low" in refused.value.hint
    assert refused.value.field == "queue"
    assert stage.core.live.jobs == {}
    assert finish(stage.store.load_active()).jobs == ()


def test_a_refused_request_leaves_the_others_of_its_step_alone(stage: Stage) -> None:
    step = stage.step(
        apply(spec(name="a")),
        apply(spec(name="b", queue="nowhere")),
        apply(spec(name="c")),
    )
    assert [type(reply) for reply in step.replies] == [tuple, QueueNotFoundError, tuple]
    assert {row.name for row in finish(stage.store.load_active()).jobs} == {"a", "c"}


def test_one_name_twice_in_a_request_is_refused(stage: Stage) -> None:
    with pytest.raises(InvalidError, match="defined twice") as refused:
        stage.ask(apply(spec(command="a"), spec(command="b")))
    assert refused.value.field == "name"
    assert stage.core.live.jobs == {}


def test_one_name_in_two_workspaces_is_two_jobs(stage: Stage) -> None:
    stage.ask(apply(spec(), spec(workspace="shop")))
    assert set(stage.core.live.jobs) == {key(), key(workspace="shop")}


def test_validation_alone_foresees_and_changes_nothing(stage: Stage) -> None:
    stage.apply(command="true")
    step = stage.step(
        apply(spec(command="false"), spec(name="new"), validate_only=True)
    )
    assert step.replies == (
        (Applied(key(), "updated", 2), Applied(key("new"), "created", 1)),
    )
    assert not step.changes
    assert stage.job().revision == 1


def test_a_switch_outlives_a_restart_until_the_document_changes(stage: Stage) -> None:
    stage.apply(command="true")
    stage.ask(SetJobEnabled(key(), False))
    assert not stage.job().enabled
    stage.restart()
    assert not stage.job().enabled
    stage.apply(command="true")
    assert not stage.job().enabled
    stage.apply(command="false")
    assert stage.job().enabled


def test_a_job_that_is_disabled_by_its_document_can_be_switched_on(
    stage: Stage,
) -> None:
    stage.apply(enabled=False)
    assert not stage.job().enabled
    stage.ask(SetJobEnabled(key(), True))
    assert stage.job().enabled
    stage.restart()
    assert stage.job().enabled


def test_switching_to_where_it_stands_writes_nothing(stage: Stage) -> None:
    stage.apply()
    assert not stage.step(SetJobEnabled(key(), True)).changes


def test_a_deleted_job_takes_its_schedules_along_and_leaves_its_history(
    stage: Stage,
) -> None:
    stage.apply(schedule=["every 10m", {"every": "1h", "name": "hourly"}])
    (done,) = stage.submit()
    session = stage.connect()
    stage.end(session, stage.leases()[-1].fence)
    stage.ask(DeleteJob(key()))
    state = finish(stage.store.load_active())
    assert (state.jobs, state.schedules, state.statistics) == ((), (), ())
    assert stage.row(done).state == "succeeded"
    assert len(stage.core.timeline) == 0
    assert stage.said(JobDeleted) == [JobDeleted(key())]
    stage.wait(3_600)
    assert stage.decisions() == []


def test_what_runs_of_a_deleted_job_runs_on(stage: Stage) -> None:
    stage.apply()
    (running,) = stage.submit()
    session = stage.connect()
    stage.ask(DeleteJob(key()))
    stage.restart()
    session = stage.core.live.sessions[session.id]
    stage.end(session, stage.leases()[-1].fence)
    assert stage.row(running).state == "succeeded"


def test_a_name_that_is_free_again_gets_a_job_of_its_own(stage: Stage) -> None:
    old = stage.apply()
    (running,) = stage.submit()
    session = stage.connect()
    stage.ask(DeleteJob(key()))
    new = stage.apply()
    stage.end(session, stage.leases()[-1].fence)
    assert new.job_id != old.job_id
    assert stage.row(running).state == "succeeded"
    assert new.run_count == 0


def test_a_job_can_be_deleted_and_made_anew_in_one_step(stage: Stage) -> None:
    old = stage.apply(schedule="every 1h")
    step = stage.step(DeleteJob(key()), apply(spec(schedule="every 1h")))
    assert step.replies == (None, (Applied(key(), "created", 1),))
    state = finish(stage.store.load_active())
    assert [row.job_id for row in state.jobs] == [stage.job().job_id]
    assert [row.job_id for row in state.schedules] == [stage.job().job_id]
    assert stage.job().job_id != old.job_id


def test_a_job_can_be_made_and_deleted_in_one_step(stage: Stage) -> None:
    stage.step(apply(spec(schedule="every 1h")), DeleteJob(key()))
    state = finish(stage.store.load_active())
    assert (state.jobs, state.schedules) == ((), ())


def test_an_execution_keeps_its_revision_though_it_lived_for_one_input_only(
    stage: Stage,
) -> None:
    one = submission()
    stage.step(apply(spec(command="first")), submit(one), apply(spec(command="second")))
    stage.restart()
    stage.connect()
    assert stage.leases()[-1].work.line == "first"
    assert stage.row(one.id).revision == 1


def test_an_execution_outlives_a_job_that_was_made_and_deleted_around_it(
    stage: Stage,
) -> None:
    one = submission()
    stage.step(apply(spec()), submit(one), DeleteJob(key()))
    stage.restart()
    stage.connect()
    assert [lease.execution.id for lease in stage.leases()] == [one.id]


def test_counters_of_a_job_that_was_deleted_in_the_same_step_do_not_come_back(
    stage: Stage,
) -> None:
    stage.apply()
    (waiting,) = stage.submit()
    cancel = Cancel(namespace=NAMESPACE, execution_id=waiting, reason="enough")
    stage.step(cancel, DeleteJob(key()))
    assert finish(stage.store.load_active()).statistics == ()


@pytest.mark.parametrize("missing", [DeleteJob(key()), SetJobEnabled(key(), True)])
def test_a_job_that_is_not_there_cannot_be_changed(
    stage: Stage, missing: DeleteJob | SetJobEnabled
) -> None:
    with pytest.raises(JobNotFoundError, match='"default/backup" not found'):
        stage.ask(missing)


# Schedules.


def cursors(stage: Stage) -> dict[str, int]:
    return {
        row.schedule_id: row.cursor
        for row in finish(stage.store.load_active()).schedules
    }


def test_an_edit_keeps_the_cursor_of_a_rule_that_means_the_same(stage: Stage) -> None:
    stage.apply(schedule="10 9 * * MON", command="first")
    before = cursors(stage)
    stage.now += 5 * MINUTE
    stage.apply(schedule=["10 09 * * 1", "every 7m"], command="second")
    after = cursors(stage)
    assert before.items() < after.items()
    assert set(after.values()) == {NOON, NOON + 5 * MINUTE}


def test_a_new_rule_never_fires_for_the_time_before_it(stage: Stage) -> None:
    stage.apply(schedule="0 * * * *")
    stage.now += 30 * MINUTE
    stage.apply(schedule="*/10 * * * *")
    stage.wait(0)
    assert stage.decisions() == []
    stage.live_through(10 * 60)
    assert [row.due_at for row in stage.decisions()] == [NOON + 40 * MINUTE]


def test_a_named_rule_that_changes_starts_anew(stage: Stage) -> None:
    stage.apply(schedule={"name": "tick", "every": "1h"})
    before = cursors(stage)
    stage.now += 45 * MINUTE
    stage.apply(schedule={"name": "tick", "every": "10m"})
    assert set(cursors(stage)) == set(before)
    assert set(cursors(stage).values()) == {stage.now}
    stage.live_through(5 * 60)
    assert [row.due_at for row in stage.decisions()] == [NOON + 50 * MINUTE]


def test_an_edit_at_a_due_time_fires_it_once(stage: Stage) -> None:
    stage.apply(schedule="*/10 * * * *", overlap="allow")
    stage.now += 10 * MINUTE
    stage.apply(schedule={"name": "renamed", "cron": "*/10 * * * *"}, overlap="allow")
    stage.wait(1)
    assert [row.due_at for row in stage.decisions()] == [NOON + 10 * MINUTE]


def test_a_rule_that_is_gone_is_dropped_with_its_cursor(stage: Stage) -> None:
    stage.apply(schedule=["every 10m", "every 15m"])
    stage.apply(schedule="every 10m")
    assert len(cursors(stage)) == 1
    assert len(stage.core.timeline) == 1
    stage.apply(schedule=[])
    assert cursors(stage) == {}
    assert stage.core.timeline.next_due() is None


def test_the_same_rule_given_twice_is_one_schedule(stage: Stage) -> None:
    job = stage.apply(schedule=["10 9 * * MON", "10 09 * * 1"])
    assert len(job.schedules) == 1


def test_rules_that_treat_a_change_of_clocks_differently_are_two(stage: Stage) -> None:
    night = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    job = stage.apply(schedule=[night, {**night, "dst": "both"}])
    assert len(job.schedules) == 2


def test_new_params_and_switches_of_a_schedule_take_effect_at_once(
    stage: Stage,
) -> None:
    stage.apply(schedule={"every": "1m", "enabled": False}, params={"who": "nobody"})
    stage.live_through(60)
    stage.apply(
        schedule={"every": "1m", "params": {"who": "alice"}}, params={"who": "nobody"}
    )
    stage.live_through(60)
    assert [row.reason for row in stage.decisions()] == ["disabled", ""]
    (row,) = stage.rows()
    assert row.params_json == '{"who": "alice"}'


def test_taking_over_a_job_changes_its_owner_and_nothing_else(stage: Stage) -> None:
    stage.ask(apply(spec(), source="folder:a.yaml"))
    (taken,) = stage.ask(apply(spec(), source="api"))
    assert taken.outcome == "unchanged"
    assert stage.job().source == "api"
    assert finish(stage.store.load_active()).jobs[0].source == "api"

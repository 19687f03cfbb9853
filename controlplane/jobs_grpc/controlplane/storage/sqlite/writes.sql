-- name: check_term
select 1 from term where cell = $1 and epoch = $2;

-- name: acquire_term
insert into term (cell, epoch, holder, address, renewed_at)
values ($1, 1, $2, $3, $4)
on conflict (cell) do update set
    epoch = term.epoch + 1,
    holder = excluded.holder,
    address = excluded.address
returning epoch;

-- name: renew_term
update term set renewed_at = $3 where cell = $1 and epoch = $2;

-- name: jobs
insert into jobs (
    job_id, namespace, workspace, name, revision, document_json,
    enabled_override, enabled, source, created_at, updated_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (job_id) do update set
    revision = excluded.revision,
    document_json = excluded.document_json,
    enabled_override = excluded.enabled_override,
    enabled = excluded.enabled,
    source = excluded.source,
    updated_at = excluded.updated_at;

-- name: job_revisions
insert into job_revisions (job_id, revision, document_json, created_at)
values ($1, $2, $3, $4)
on conflict (job_id, revision) do nothing;

-- name: deleted_jobs
delete from jobs where job_id = $1;

-- name: deleted_statistics
delete from job_statistics where job_id = $1;

-- name: schedules
insert into schedules (schedule_id, job_id, name, cursor) values ($1, $2, $3, $4)
on conflict (schedule_id) do update set
    job_id = excluded.job_id,
    name = excluded.name,
    cursor = excluded.cursor;

-- name: deleted_schedules
delete from schedules where schedule_id = $1;

-- name: schedule_objects
insert into schedule_objects (
    schedule_id, job_id, entry_json, revision, enabled, disabled_reason,
    disabled_until, created_at, updated_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (schedule_id) do update set
    job_id = excluded.job_id,
    entry_json = excluded.entry_json,
    revision = excluded.revision,
    enabled = excluded.enabled,
    disabled_reason = excluded.disabled_reason,
    disabled_until = excluded.disabled_until,
    created_at = excluded.created_at,
    updated_at = excluded.updated_at;

-- name: deleted_schedule_objects
delete from schedule_objects where schedule_id = $1;

-- name: backfills
insert into backfills (
    seq, id, namespace, workspace, job, job_id, revision, schedules_json, "start", "end",
    newest_first, parallel, priority, total, requested_by, created_at, updated_at, state,
    "cursor", started, left_out, succeeded, failed, cancelled, reason, finished_at
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
    $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26
)
on conflict (seq) do update set
    updated_at = excluded.updated_at,
    state = excluded.state,
    "cursor" = excluded."cursor",
    started = excluded.started,
    left_out = excluded.left_out,
    succeeded = excluded.succeeded,
    failed = excluded.failed,
    cancelled = excluded.cancelled,
    reason = excluded.reason,
    finished_at = excluded.finished_at;

-- name: backfill_starts
insert into backfill_starts (schedule_id, due_at, backfill_id, execution_id)
values ($1, $2, $3, $4);

-- name: cursors
update schedules set cursor = v.column1
from (values ($1, $2)) as v
where schedule_id = v.column2;

-- name: decisions
insert into decisions (
    schedule_id, due_at, namespace, workspace, job, decided_at,
    outcome, reason, execution_id, holder, until, due_times
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: counts
insert into schedule_counts (schedule_id, started) values ($1, $2)
on conflict (schedule_id) do update set started = excluded.started;

-- name: deleted_counts
delete from schedule_counts where schedule_id = $1;

-- name: meta
insert into meta (key, value) values ($1, $2)
on conflict (key) do update set value = excluded.value;

-- name: extended
update decisions set
    until = v.column1, due_times = v.column2, decided_at = v.column3
from (values ($1, $2, $3, $4, $5)) as v
where schedule_id = v.column4 and due_at = v.column5;

-- name: deleted_decisions
delete from decisions where schedule_id = $1 and due_at = $2;

-- name: forgotten_pauses
-- Those that ended long ago, and to which no decision can point any more.
delete from pauses where ended_at < $1;

-- name: pauses
insert into pauses (
    pause_id, kind, namespace, workspace, job, schedule_id, queue, note, who, since,
    until, meanwhile, ended_at, ended_by
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (pause_id) do update set
    until = excluded.until,
    ended_at = excluded.ended_at,
    ended_by = excluded.ended_by;

-- name: failure_streaks
insert into failure_streaks (job_id, failures) values ($1, $2)
on conflict (job_id) do update set failures = excluded.failures;

-- name: deleted_failure_streaks
delete from failure_streaks where job_id = $1;

-- name: joins
insert into joins (job_id, arrived_json) values ($1, $2)
on conflict (job_id) do update set arrived_json = excluded.arrived_json;

-- name: deleted_joins
delete from joins where job_id = $1;

-- name: created
insert into executions (
    seq, id, namespace, workspace, job, job_id, revision, type, "trigger", queue,
    priority, scheduled_for, created_at, requested_by, schedule_id, request_id,
    params_json, document_json, state, phase, attempt, fence, worker_id, worker,
    session_id, started_at, cancel_reason
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
    $19, $20, $21, $22, $23, $24, $25, $26, $27
);

-- name: moved
update executions set
    state = v.column1, phase = v.column2, attempt = v.column3, fence = v.column4,
    worker_id = v.column5, worker = v.column6, session_id = v.column7,
    started_at = v.column8, cancel_reason = v.column9
from (values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)) as v
where seq = v.column10;

-- name: ended
update executions set
    state = v.column1, started_at = v.column2, finished_at = v.column3,
    exit_code = v.column4, signal = v.column5, error = v.column6,
    result_json = v.column7, output_bytes = v.column8, output_dropped = v.column9,
    cpu_user = v.column10, cpu_system = v.column11, peak_memory = v.column12,
    receipt_json = v.column13
from (values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)) as v
where seq = v.column14;

-- name: holds
insert into holds (seq, reason, subject, since) values ($1, $2, $3, $4)
on conflict (seq) do update set
    reason = excluded.reason,
    subject = excluded.subject,
    since = excluded.since;

-- name: orders
insert into worker_orders (
    worker_id, cordoned, reason, since, drain_until, labels_json
) values ($1, $2, $3, $4, $5, $6)
on conflict (worker_id) do update set
    cordoned = excluded.cordoned,
    reason = excluded.reason,
    since = excluded.since,
    drain_until = excluded.drain_until,
    labels_json = excluded.labels_json;

-- name: breakers
insert into breakers (
    namespace, job, dependency, worker, state, failures, failing_since, successes,
    recent_json, until, reason, changed_at, trips, probe
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (namespace, job, dependency, worker) do update set
    state = excluded.state,
    failures = excluded.failures,
    failing_since = excluded.failing_since,
    successes = excluded.successes,
    recent_json = excluded.recent_json,
    until = excluded.until,
    reason = excluded.reason,
    changed_at = excluded.changed_at,
    trips = excluded.trips,
    probe = excluded.probe;

-- name: deleted_holds
delete from holds where seq = $1;

-- name: attempts
insert into attempts (
    execution_seq, fence, attempt, worker_id, worker, leased_at, started_at, finished_at,
    outcome, exit_code, signal, error, output_bytes, output_dropped, cpu_user, cpu_system,
    peak_memory, receipt_json
) values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
);

-- name: events
insert into execution_events (execution_seq, n, at, kind, detail_json)
values ($1, $2, $3, $4, $5);

-- name: retries
insert into execution_retries (execution_seq, retries, losses, refusals, due_at)
values ($1, $2, $3, $4, $5)
on conflict (execution_seq) do update set
    retries = excluded.retries,
    losses = excluded.losses,
    refusals = excluded.refusals,
    due_at = excluded.due_at;

-- name: links
insert into execution_links (seq, id, kind, origin_seq, origin_id)
values ($1, $2, $3, $4, $5);

-- name: dead_letters
insert into dead_letters (
    seq, execution_id, namespace, workspace, job, at, state, reason, error, attempts
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: deleted_dead_letters
delete from dead_letters where seq = $1;

-- name: statistics
insert into job_statistics (
    job_id, run_count, success_count, failure_count, last_run_at, last_success_at,
    last_failure_at, last_error, last_state
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (job_id) do update set
    run_count = excluded.run_count,
    success_count = excluded.success_count,
    failure_count = excluded.failure_count,
    last_run_at = excluded.last_run_at,
    last_success_at = excluded.last_success_at,
    last_failure_at = excluded.last_failure_at,
    last_error = excluded.last_error,
    last_state = excluded.last_state;

-- name: queues
insert into queues (name, weight, completed, failed) values ($1, $2, $3, $4)
on conflict (name) do update set
    weight = excluded.weight,
    completed = excluded.completed,
    failed = excluded.failed;

-- name: workers
insert into workers (
    worker_id, name, labels_json, slots, functions_json, version, connected_at, last_seen_at
) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (worker_id) do update set
    name = excluded.name,
    labels_json = excluded.labels_json,
    slots = excluded.slots,
    functions_json = excluded.functions_json,
    version = excluded.version,
    connected_at = excluded.connected_at,
    last_seen_at = excluded.last_seen_at;

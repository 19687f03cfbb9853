-- name: active_jobs
select
    job_id, namespace, workspace, name, revision, document_json,
    enabled_override, enabled, source, created_at, updated_at
from jobs;

-- name: active_statistics
select
    job_id, run_count, success_count, failure_count, last_run_at, last_success_at,
    last_failure_at, last_error, last_state
from job_statistics;

-- name: active_schedules
-- A schedule that was dropped and made anew while the clock was set back stands behind
-- its own decisions; no due time of theirs may be decided again.
select
    s.schedule_id, s.job_id, s.name,
    coalesce(
        (
            select max(d.due_at) from decisions as d
            where d.schedule_id = s.schedule_id and d.due_at > s.cursor
        ),
        s.cursor
    )
from schedules as s;

-- name: active_schedule_objects
select
    schedule_id, job_id, entry_json, revision, enabled, disabled_reason,
    disabled_until, created_at, updated_at
from schedule_objects
order by created_at, schedule_id;

-- name: active_backfills
select
    seq, id, namespace, workspace, job, job_id, revision, schedules_json, "start", "end",
    newest_first, parallel, priority, total, requested_by, created_at, updated_at, state,
    "cursor", started, left_out, succeeded, failed, cancelled, reason, finished_at
from backfills
where finished_at is null
order by seq;

-- name: active_executions
-- What is not final, and what was lost since $1: its late result still counts.
-- Told to go by the indices: for the order's sake it would rather read all of history.
select * from executions indexed by executions_active where finished_at is null
union all
select * from executions indexed by executions_lost
where state = 'lost' and finished_at >= $1
order by seq;

-- name: active_retries
select r.execution_seq, r.retries, r.losses, r.refusals, r.due_at
from executions as e
join execution_retries as r on r.execution_seq = e.seq
where e.finished_at is null;

-- name: active_superseded
-- The current attempt of an execution that is not final has no row here.
select a.execution_seq, a.fence
from executions as e indexed by executions_active
join attempts as a on a.execution_seq = e.seq
where e.finished_at is null
order by a.fence;

-- name: active_documents
select job_id, revision, document_json from job_revisions
where (job_id, revision) in (
    select job_id, revision from executions where finished_at is null
    union
    select job_id, revision from executions where state = 'lost' and finished_at >= $1
    union
    select job_id, revision from backfills where finished_at is null
);

-- name: active_queues
select name, weight, completed, failed from queues;

-- name: orders
select worker_id, cordoned, reason, since, drain_until, labels_json
from worker_orders
order by worker_id;

-- name: active_breakers
select
    namespace, job, dependency, worker, state, failures, failing_since, successes,
    recent_json, until, reason, changed_at, trips, probe
from breakers;

-- name: active_holds
select h.seq, h.reason, h.subject, h.since from holds as h
inner join executions as e on e.seq = h.seq
where e.finished_at is null;

-- name: active_counts
select schedule_id, started from schedule_counts;

-- name: active_meta
select key, value from meta;

-- name: active_pauses
select
    pause_id, kind, namespace, workspace, job, schedule_id, queue, note, who, since,
    until, meanwhile, ended_at, ended_by
from pauses
where ended_at is null
order by since, pause_id;

-- name: active_failure_streaks
select job_id, failures from failure_streaks;

-- name: active_joins
select job_id, arrived_json from joins where arrived_json <> '{}';

-- name: pause
select
    pause_id, kind, namespace, workspace, job, schedule_id, queue, note, who, since,
    until, meanwhile, ended_at, ended_by
from pauses
where pause_id = $1;

-- name: pauses
-- Those in force, or all of them; newest first.
select
    pause_id, kind, namespace, workspace, job, schedule_id, queue, note, who, since,
    until, meanwhile, ended_at, ended_by
from pauses
where
    (namespace = $1 or namespace = '')
    and ($2 = 1 or ended_at is null)
    and (since, pause_id) < ($3, $4)
order by since desc, pause_id desc
limit $5;

-- name: old_decisions
-- One job after another, along the index: what is not old is not even looked at.
with recursive names (job) as (
    select min(job) from decisions
    union all
    select (select min(d.job) from decisions as d where d.job > names.job)
    from names
    where names.job is not null
)

select d.schedule_id, d.due_at
from names
inner join decisions as d on names.job = d.job
where d.due_at < $1 and coalesce(d.until, d.due_at) < $1
limit $2;

-- name: job
select
    j.job_id, j.namespace, j.workspace, j.name, j.revision, j.document_json,
    j.enabled_override, j.enabled, j.source, j.created_at, j.updated_at,
    j.job_id, coalesce(s.run_count, 0), coalesce(s.success_count, 0),
    coalesce(s.failure_count, 0), s.last_run_at, s.last_success_at, s.last_failure_at,
    coalesce(s.last_error, ''), coalesce(s.last_state, ''),
    (
        select count(*) from executions as e
        where e.job_id = j.job_id and e.finished_at is null
    )
from jobs as j
left join job_statistics as s on s.job_id = j.job_id
where j.namespace = $1 and j.workspace = $2 and j.name = $3;

-- name: jobs
select
    j.job_id, j.namespace, j.workspace, j.name, j.revision, j.document_json,
    j.enabled_override, j.enabled, j.source, j.created_at, j.updated_at,
    j.job_id, coalesce(s.run_count, 0), coalesce(s.success_count, 0),
    coalesce(s.failure_count, 0), s.last_run_at, s.last_success_at, s.last_failure_at,
    coalesce(s.last_error, ''), coalesce(s.last_state, ''),
    (
        select count(*) from executions as e
        where e.job_id = j.job_id and e.finished_at is null
    )
from jobs as j
left join job_statistics as s on s.job_id = j.job_id
where
    j.namespace = $1
    and (j.workspace, j.name) > ($3, $4)
    and ($2 = '' or j.workspace = $2)
order by j.workspace, j.name
limit $5;

-- name: find_executions
select * from executions
where id >= $2 and id < $3 and namespace = $1
order by id
limit $4;

-- name: execution
select * from executions where id = $1;

-- name: executions
select * from executions
where
    namespace = $1
    and seq < $2
    and ($3 = '' or workspace = $3)
    and ($4 = '' or state in (select value from json_each($4)))
order by seq desc
limit $5;

-- name: executions_unsuccessful
-- Of one state, $4, that is final and no success: rare among millions.
select * from executions
where
    finished_at is not null
    and state <> 'succeeded'
    and state = $4
    and namespace = $1
    and seq < $2
    and ($3 = '' or workspace = $3)
order by seq desc
limit $5;

-- name: executions_unfinished
-- Of one state, $4, that is not final; the index has the unfinished ones only.
select * from executions indexed by executions_active
where
    finished_at is null
    and state = $4
    and namespace = $1
    and seq < $2
    and ($3 = '' or workspace = $3)
order by seq desc
limit $5;

-- name: executions_of_job
select * from executions
where
    job = $6
    and namespace = $1
    and seq < $2
    and ($3 = '' or workspace = $3)
    and ($4 = '' or state in (select value from json_each($4)))
order by seq desc
limit $5;

-- name: executions_of_requests
select request_id, id from executions
where namespace = $1 and request_id in (select value from json_each($2));

-- name: attempts
select
    execution_seq, fence, attempt, worker_id, worker, leased_at, started_at, finished_at,
    outcome, exit_code, signal, error, output_bytes, output_dropped, cpu_user, cpu_system,
    peak_memory, receipt_json
from attempts where execution_seq = $1 order by fence;

-- name: events
select execution_seq, n, at, kind, detail_json
from execution_events where execution_seq = $1 order by n;

-- name: document
select document_json from job_revisions where job_id = $1 and revision = $2;

-- name: links
-- Both ways: what the execution follows, and what follows it.
select seq, id, kind, origin_seq, origin_id from execution_links where seq = $1
union all
select seq, id, kind, origin_seq, origin_id from execution_links where origin_seq = $1
order by seq;

-- name: dead_letters
select
    seq, execution_id, namespace, workspace, job, at, state, reason, error, attempts
from dead_letters
where
    namespace = $1
    and seq < $2
    and ($3 = '' or workspace = $3)
    and ($4 = '' or job = $4)
    and at < $5
order by seq desc
limit $6;

-- name: dead_letter
select
    seq, execution_id, namespace, workspace, job, at, state, reason, error, attempts
from dead_letters where seq = $1;

-- name: decisions
select
    schedule_id, due_at, namespace, workspace, job, decided_at,
    outcome, reason, execution_id, holder, until, due_times
from decisions
where
    namespace = $1
    and ($2 = '' or workspace = $2)
    and due_at >= $3
    and due_at < $4
    and (due_at, schedule_id) < ($5, $6)
    and (
        $8 = ''
        or coalesce(nullif(reason, ''), outcome) in (select value from json_each($8))
    )
order by due_at desc, schedule_id desc
limit $7;

-- name: decisions_of_job
select
    schedule_id, due_at, namespace, workspace, job, decided_at,
    outcome, reason, execution_id, holder, until, due_times
from decisions
where
    job = $9
    and namespace = $1
    and ($2 = '' or workspace = $2)
    and due_at >= $3
    and due_at < $4
    and due_at <= $5
    and (due_at, schedule_id) < ($5, $6)
    and (
        $8 = ''
        or coalesce(nullif(reason, ''), outcome) in (select value from json_each($8))
    )
order by due_at desc, schedule_id desc
limit $7;

-- name: started
select schedule_id, due_at from decisions
where schedule_id = $1 and due_at >= $2 and due_at < $3 and outcome = 'started'
union all
select schedule_id, due_at from backfill_starts
where schedule_id = $1 and due_at >= $2 and due_at < $3;

-- name: backfills
select
    seq, id, namespace, workspace, job, job_id, revision, schedules_json, "start", "end",
    newest_first, parallel, priority, total, requested_by, created_at, updated_at, state,
    "cursor", started, left_out, succeeded, failed, cancelled, reason, finished_at
from backfills
where
    namespace = $1
    and seq < $2
    and ($3 = '' or workspace = $3)
    and ($4 = '' or job = $4)
order by seq desc
limit $5;

-- name: find_backfills
select
    seq, id, namespace, workspace, job, job_id, revision, schedules_json, "start", "end",
    newest_first, parallel, priority, total, requested_by, created_at, updated_at, state,
    "cursor", started, left_out, succeeded, failed, cancelled, reason, finished_at
from backfills
where id >= $2 and id < $3 and namespace = $1
order by id
limit $4;

-- name: decision_at
select
    schedule_id, due_at, namespace, workspace, job, decided_at,
    outcome, reason, execution_id, holder, until, due_times
from decisions
where schedule_id = $1 and due_at <= $2
order by due_at desc
limit 1;

-- name: queues
select name, weight, completed, failed from queues order by name;

-- name: queue_depths
select
    queue,
    count(*) filter (where state in ('scheduled', 'retrying')),
    count(*) filter (where state = 'pending' and phase = 'none'),
    count(*) filter (where phase <> 'none')
from executions
where finished_at is null
group by queue;

-- name: workers
select
    worker_id, name, labels_json, slots, functions_json, version, connected_at, last_seen_at
from workers
order by name, worker_id;

-- Instants and durations are integer microseconds (UTC); words are the contract's.

create table term (
    cell text primary key,
    epoch integer not null,
    holder text not null,
    address text not null,
    -- The last instant at which the holder was alive.
    renewed_at integer not null
) without rowid;

create table jobs (
    job_id integer primary key,
    namespace text not null,
    workspace text not null,
    name text not null,
    revision integer not null,
    document_json text not null,
    enabled_override integer,
    enabled integer not null,
    source text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (namespace, workspace, name)
);

-- Every revision, because executions are pinned to the one they began with.
create table job_revisions (
    job_id integer not null,
    revision integer not null,
    document_json text not null,
    created_at integer not null,
    primary key (job_id, revision)
) without rowid;

create table job_statistics (
    job_id integer primary key,
    run_count integer not null,
    success_count integer not null,
    failure_count integer not null,
    last_run_at integer,
    last_success_at integer,
    last_failure_at integer,
    last_error text not null,
    last_state text not null
);

create table schedules (
    schedule_id text primary key,
    job_id integer not null,
    name text not null,
    -- The last instant that is decided.
    cursor integer not null
) without rowid;

create index schedules_by_job on schedules (job_id);

-- What became of each due time.
create table decisions (
    schedule_id text not null,
    due_at integer not null,
    namespace text not null,
    workspace text not null,
    job text not null,
    decided_at integer not null,
    outcome text not null,
    reason text not null,
    execution_id text not null,
    holder text not null,
    until integer,
    due_times integer,
    primary key (schedule_id, due_at)
) without rowid;

create index decisions_by_job on decisions (job, due_at);

create table executions (
    seq integer primary key,
    id text not null unique,
    namespace text not null,
    workspace text not null,
    job text not null,
    -- 0 where no stored job stands behind it.
    job_id integer not null,
    revision integer not null,
    type text not null,
    "trigger" text not null,
    queue text not null,
    priority integer not null,
    scheduled_for integer not null,
    created_at integer not null,
    requested_by text not null,
    schedule_id text not null,
    request_id text,
    params_json text not null,
    document_json text,
    state text not null,
    phase text not null,
    attempt integer not null,
    fence integer not null,
    worker_id text not null,
    worker text not null,
    session_id text not null,
    started_at integer,
    cancel_reason text not null,
    finished_at integer,
    exit_code integer,
    signal text not null default '',
    error text not null default '',
    result_json text not null default '',
    output_bytes integer,
    output_dropped integer not null default 0,
    cpu_user integer,
    cpu_system integer,
    peak_memory integer,
    receipt_json text not null default ''
);

create index executions_by_job on executions (job, seq);

-- Small whatever the history: an entry lives as long as its execution.
create index executions_active on executions (job_id) where finished_at is null;

create unique index executions_by_request on executions (namespace, request_id)
where request_id is not null;

create table queues (
    name text primary key,
    weight integer not null,
    completed integer not null,
    failed integer not null
) without rowid;

create table workers (
    worker_id text primary key,
    name text not null,
    labels_json text not null,
    slots integer not null,
    functions_json text not null,
    version text not null,
    connected_at integer not null,
    last_seen_at integer not null
) without rowid;

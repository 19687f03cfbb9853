create table backfills (
    seq integer primary key,
    id text not null unique,
    namespace text not null,
    workspace text not null,
    job text not null,
    job_id integer not null,
    -- The revision whose schedules count.
    revision integer not null,
    schedules_json text not null,
    "start" integer not null,
    "end" integer not null,
    newest_first integer not null,
    parallel integer not null,
    priority integer not null,
    total integer not null,
    requested_by text not null,
    created_at integer not null,
    updated_at integer not null,
    state text not null,
    -- The last due time that was dealt with.
    "cursor" integer,
    started integer not null,
    left_out integer not null,
    succeeded integer not null,
    failed integer not null,
    cancelled integer not null,
    reason text not null,
    finished_at integer
);

create index backfills_unfinished on backfills (seq) where finished_at is null;

-- What backfills have started, so that none does so twice.
create table backfill_starts (
    schedule_id text not null,
    due_at integer not null,
    backfill_id text not null,
    execution_id text not null,
    primary key (schedule_id, due_at)
) without rowid;

-- What a schedule is beyond its job's document: made through the API, or switched there.
create table schedule_objects (
    schedule_id text primary key,
    job_id integer not null,
    -- One entry of the job file's `schedule`; empty where the document defines it.
    entry_json text not null,
    revision integer not null,
    -- What was said last; null where it is what the definition says.
    enabled integer,
    disabled_reason text not null,
    disabled_until integer,
    created_at integer not null,
    updated_at integer not null
) without rowid;

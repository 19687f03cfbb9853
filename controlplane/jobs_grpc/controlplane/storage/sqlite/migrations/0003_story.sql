-- What a plain execution never needs: attempts that others followed, and what happened to
-- an execution besides its states.

create table attempts (
    execution_seq integer not null,
    fence integer not null,
    attempt integer not null,
    worker_id text not null,
    worker text not null,
    leased_at integer,
    started_at integer,
    finished_at integer not null,
    outcome text not null,
    exit_code integer,
    signal text not null,
    error text not null,
    output_bytes integer,
    output_dropped integer not null,
    cpu_user integer,
    cpu_system integer,
    peak_memory integer,
    receipt_json text not null,
    primary key (execution_seq, fence)
) without rowid;

create table execution_events (
    execution_seq integer not null,
    -- A number that only grows; events of one instant keep their order by it.
    n integer not null,
    at integer not null,
    kind text not null,
    detail_json text not null,
    primary key (execution_seq, n)
) without rowid;

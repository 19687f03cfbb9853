-- Circuit breakers to which something has happened. Whose one is, its key says: a job's, a
-- dependency's, or (neither of both) a worker's own; with a worker, it is that worker's only.
create table breakers (
    namespace text not null,
    job text not null,
    dependency text not null,
    worker text not null,
    state text not null,
    failures integer not null,
    failing_since integer not null,
    successes integer not null,
    -- The latest results as a list of [instant, failed].
    recent_json text not null,
    until integer,
    reason text not null,
    changed_at integer not null,
    trips integer not null,
    probe text not null,
    primary key (namespace, job, dependency, worker)
) without rowid;

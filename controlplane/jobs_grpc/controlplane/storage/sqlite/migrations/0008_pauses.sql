-- What stands still, since when, by whom, until when. A pause that has ended is kept for
-- the decisions that point to it.
create table pauses (
    pause_id text primary key,
    kind text not null,
    namespace text not null,
    workspace text not null,
    job text not null,
    schedule_id text not null,
    queue text not null,
    note text not null,
    who text not null,
    since integer not null,
    until integer,
    meanwhile text not null,
    ended_at integer,
    ended_by text not null
) without rowid;

create index pauses_in_force on pauses (since) where ended_at is null;

-- Failures in a row, for the jobs that are to be paused after so many.
create table failure_streaks (
    job_id integer primary key,
    failures integer not null
);

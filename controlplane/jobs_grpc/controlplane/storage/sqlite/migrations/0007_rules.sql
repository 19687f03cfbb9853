-- How many executions a schedule with a limited number of runs has started.
create table schedule_counts (
    schedule_id text primary key,
    started integer not null
) without rowid;

-- Facts about the store as a whole, such as the version of the time zone data.
create table meta (
    key text primary key,
    value text not null
) without rowid;

-- Who has succeeded of the jobs that one depends on, since it last ran for them.
create table joins (
    job_id integer primary key,
    arrived_json text not null
);

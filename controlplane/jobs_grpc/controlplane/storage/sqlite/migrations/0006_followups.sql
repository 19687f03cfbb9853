-- Which executions follow which, and which failed for good.

create table execution_links (
    -- The one that follows.
    seq integer primary key,
    id text not null,
    kind text not null,
    origin_seq integer not null,
    origin_id text not null
);

create index execution_links_by_origin on execution_links (origin_seq);

create table dead_letters (
    -- That of the execution.
    seq integer primary key,
    execution_id text not null,
    namespace text not null,
    workspace text not null,
    job text not null,
    -- When it failed for good.
    at integer not null,
    state text not null,
    reason text not null,
    error text not null,
    attempts integer not null
);

-- What operators have said about workers: it outlives sessions, and the workers themselves.
create table worker_orders (
    worker_id text primary key,
    cordoned integer not null,
    reason text not null,
    since integer not null,
    -- Set by a drain: when what still runs is ended.
    drain_until integer,
    -- Over the worker's own labels; null takes one away.
    labels_json text not null
) without rowid;

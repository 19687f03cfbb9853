-- What an execution that was tried again, or taken back, has behind it.

create table execution_retries (
    execution_seq integer primary key,
    -- Retries of the job's own policy that were used up.
    retries integer not null,
    -- Attempts that may have begun and whose worker was lost.
    losses integer not null,
    -- Times a worker would not begin it.
    refusals integer not null,
    -- Since when it waits again, or until when while it is `retrying`.
    due_at integer not null
);

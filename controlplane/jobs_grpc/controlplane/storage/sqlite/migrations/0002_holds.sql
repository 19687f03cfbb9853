-- Pending executions that are kept out of the waiting lines, and what for. A row lives as
-- long as the hold, so there are as many as executions that wait for another.
create table holds (
    seq integer primary key,
    reason text not null,
    subject text not null,
    since integer not null
);

-- Listings that would read a whole history without them. Each has an entry for the few
-- executions that it is for; the many that succeed never touch them.

-- What a new term asks for first: late results of lost executions still count.
create index executions_lost on executions (finished_at) where state = 'lost';

-- Newest first of one state, for states that may be rare among millions.
create index executions_unsuccessful on executions (state)
where finished_at is not null and state <> 'succeeded';

"""The life of executions: leases, ends, retries, limits of time, consequences."""

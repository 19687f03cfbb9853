"""One reign: a term is won, the core is stepped, commits are made, and only then told.

`leader` wins and keeps the term, `loading` builds its core from the store, `journal` steps
the core and commits, `outboxes` holds what is said to workers, `waiters` wakes callers that
wait for an end.
"""

from __future__ import annotations

"""One reign: a term is won, the core is stepped, commits are made, and only then told.

`term` wins and keeps the term, `journal` steps the core and commits, `sessions` speaks
to the workers, `waiters` wakes callers that wait for an end.
"""

from __future__ import annotations

"""Log files: one for each attempt, append-only, checked record by record.

    disk          the calls of the operating system
    descriptors   which files stay open
    frames        what a record looks like
    recovery      where a file ends after a crash
    plan          which bytes of a group continue a log (pure)
    reading       what a reader gets (pure but for the window onto the file)
    attempt       one log, put together

Nothing here knows about asyncio, followers or workers.
"""

from __future__ import annotations

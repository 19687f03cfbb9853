"""The keeper: the parent of every job process on a worker host.

It starts jobs, reads their output into spool files, enforces timeouts and output limits,
ends whole process trees, and writes down how every attempt ended. It is one small
process with one loop and no dependencies, so that it can outlive the session process
that commands it: a daemon upgrade or crash neither kills nor loses a job.

Who is authoritative
--------------------
- *Whether a process lives, and how it ended*: the keeper, because it alone is the parent
  (and, as subreaper, the foster parent) and it alone reaps.
- *Which attempts should run or stop*: the session process. The keeper never starts,
  stops for, or forgets anything by its own judgment, except that an attempt's own
  timeout passes and that processes which outlive their attempt are ended.
- *Output bytes*: the spool file, written by the keeper only, read by anyone.
- *What happened before this keeper was born*: the journal (`memory.journal`).

::

    session process ──requests──► keeper ──posix_spawn──► job ─► its own children ...
          ▲   ▲  ◄──answers, events──┘ ▲                   │              │ orphaned?
          │   └── tails attempts/<fence>/spool ◄── pipes ──┘              │ (subreaper)
          │                            └──────────────────────────────────┘
          └── `exited` only after the journal holds the record on disk

What happens when
-----------------
=================================  ==================================================
session process dies               jobs run on, output goes on into the spools; the
                                   next session lists attempts and reads on
session sends the same start twice the second is answered with what is known already
keeper is killed                   the next keeper ends what is left of its jobs, found
                                   by identity and marker, and records them as `lost`
host restarts                      the same, with nothing left to end
job leaves its process group       it is still a descendant, or an adopted orphan
job clears its environment, leaves known by its session or by the output pipe it holds;
its session and is orphaned        else ended when no attempt is left that may own it
someone else holds a job's pipe    the attempt ends after a wait, `output_leaked` is set
a process cannot be killed (state  the attempt ends after ten seconds with the process
D)                                 in `survivors`
disk full                          output is dropped and counted, a system frame says
                                   so; exit records have preallocated room
output beyond its limit            the first MiB and the newest bytes are kept, in files
                                   that are removed as the output goes on
a frame or line was damaged        CRC of each: found, skipped, never believed
=================================  ==================================================

A keeper that is a plain process cannot hold a job which wants to hide from it; a control
group can, where one is delegated (`cgroup`). `processes.family` is the only module that knows
what belongs to an attempt, and `Family.signal` the only place that kills.
"""

from __future__ import annotations

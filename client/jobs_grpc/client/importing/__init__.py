"""From the schedulers that people have to job files: crontabs, systemd timers, CronJobs.

Each source has a pure module that turns text into drafts of jobs and into notes, which say
what changes in meaning. `settling` brings a draft into a valid job document, and
`writing` makes a commented YAML file of it. Nothing here reads a clock, a file or the
network; the command line does that (`cli/commands/importing.py`).

What cannot be said in a job file is noted, never dropped in silence; what would be started
at other times than before is not imported at all.
"""

from __future__ import annotations

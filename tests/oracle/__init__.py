"""Three opinions on cron: ours, cronsim's, and a walk through the minutes of a zone.

`make oracle` compares them on thousands of random expressions around every clock change
of 30 years; `tests/unit/schedule` does a seeded part of it in every run.
"""

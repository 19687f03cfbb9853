"""The garbage collector beside a table of a million schedules.

Loading makes tens of millions of objects none of which is garbage, and the collector would
walk them again and again as their number grows; while a term runs, one full collection
walks all of them, for seconds in which nothing else happens. So it rests during the load,
and afterwards leaves alone what the load has made: reference counts still free it, only
cycles among it wait for the end of the term.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Rest the collector meanwhile; then have it leave alone all there is."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def let_go() -> None:
    """Free what the ended term held, before the next one loads as much again."""
    gc.unfreeze()
    gc.collect()

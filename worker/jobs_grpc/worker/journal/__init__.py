"""The results journal: nothing is told to the leader before it is on this disk.

For process attempts the keeper's exit record is the journal; this one holds what only
the session process knows: which attempts have begun, and how functions ended.
"""

from __future__ import annotations

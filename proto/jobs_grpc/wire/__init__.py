"""The hand-written half of the contract: what both ends of a connection must agree on.

Errors and their codes, metadata names, channel settings, limits and time conversions.
Nothing here decides anything.
"""

from __future__ import annotations

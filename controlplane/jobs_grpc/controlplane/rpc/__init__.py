"""The edge: translate, authorize, delegate. Nothing is decided here.

Only `convert` sees both the messages of the contract and the records of the core.
"""

from __future__ import annotations

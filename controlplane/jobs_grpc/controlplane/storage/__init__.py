"""Where facts are kept: one protocol in our own verbs, and its implementations.

`store` is the protocol and the specification; `memory` and `sqlite` keep it, and one
contract suite judges both. Nothing here decides anything.
"""

from __future__ import annotations

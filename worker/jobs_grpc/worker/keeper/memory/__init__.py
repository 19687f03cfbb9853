"""What the keeper writes down: its directory (`root`), the facts that the next keeper
needs (`journal`), what that one does about them (`recovery`), and the ended attempts that
no session has taken over yet (`archive`).

Output is not here: it has its own file per attempt (`spool`), which readers share.
"""

from __future__ import annotations

"""What every program of the product needs to live: time, tasks, back-off.

Standard library only. Nothing here knows the contract or a program.
"""

from __future__ import annotations

"""The parts that a job document is made of: names, quantities, rules, and their checks.

Each module holds one group of keys. A part checks itself and says what is wrong in a
plain sentence (`complaint`); it knows nothing of files and positions.
"""

from __future__ import annotations

"""Commands and scripts: made ready here, run by the keeper."""

from __future__ import annotations

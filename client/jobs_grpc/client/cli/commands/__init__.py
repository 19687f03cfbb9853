"""One module for each command or group of commands; `main` loads one when it is typed."""

from __future__ import annotations

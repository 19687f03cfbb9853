"""From facts to log lines and metrics: the only place that does it."""

from __future__ import annotations

from .lines import EventLog as EventLog
from .lines import configure_logging as configure_logging
from .metrics import Metrics as Metrics

"""What makes a schedule without a name the same schedule tomorrow: what it means."""

from __future__ import annotations

from jobs_grpc.schedule.clock import ClockRule
from jobs_grpc.schedule.rule import Rule
from jobs_grpc.schedule.window import WindowRule


def rule_identity(rule: Rule) -> str:
    """Return a text that is equal for rules of equal meaning, and for no others."""
    core = rule.base if isinstance(rule, WindowRule) else rule
    text = f"{rule.canonical} {rule.timezone}"
    if isinstance(core, ClockRule) and core.dst != "debian":
        text += f" {core.dst}"
    return text

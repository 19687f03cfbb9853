"""Time zones as tables of offset changes, in whole seconds since the epoch.

`zoneinfo` knows the offset of an instant but not when it changes next, and that is what
a schedule has to know: between two changes local time runs evenly and all is arithmetic.
So each stretch of a zone is probed once and the changes in it are kept.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from jobs_grpc.schedule.error import RuleError, did_you_mean, quoted

# About 388 days: most questions touch one stretch or two.
_STRETCH: Final = 1 << 25
# Since 1900 no two changes of a zone are closer than 3.98 days (Africa/Freetown, 1939),
# since 1970 than 6.9 (Asia/Gaza). A test reads all zones and holds this to be so.
_PROBE: Final = 3 * 86_400
_NAME: Final = re.compile(r"[A-Za-z0-9_+\-/]{1,64}", re.ASCII)
# Files of the zone directory that mean something else on each host, or count leap
# seconds.
_NO_ZONES: Final = re.compile(r"localtime|posixrules|Factory|(posix|right)/.*")


class Change(NamedTuple):
    """The instant from which another offset holds; offsets in seconds east of UTC."""

    at: int
    before: int
    after: int

    @property
    def shift(self) -> int:
        """Seconds that clocks go forward; negative when they go back."""
        return self.after - self.before


class Zone:
    """One IANA zone; get it from `find_zone`, which keeps one of each."""

    def __init__(self, info: ZoneInfo) -> None:
        self.name = info.key
        self._info = info
        # zoneinfo answers without an instant only where the offset never changes.
        fixed = info.utcoffset(None)
        self._fixed = None if fixed is None else _seconds(fixed)
        self._stretches: dict[int, tuple[Change, ...]] = {}

    def offset(self, second: int) -> int:
        """Return the seconds east of UTC that hold at an instant."""
        if self._fixed is not None:
            return self._fixed
        moment = datetime.fromtimestamp(second, self._info)
        return _seconds(moment.utcoffset())

    def first_change(self, after: int, until: int) -> Change | None:
        """Return the first change in (after, until]."""
        if self._fixed is not None:
            return None
        for stretch in range(after // _STRETCH, until // _STRETCH + 1):
            for change in self._changes(stretch):
                if change.at > until:
                    return None
                if change.at > after:
                    return change
        return None

    def _changes(self, stretch: int) -> tuple[Change, ...]:
        changes = self._stretches.get(stretch)
        if changes is None:
            changes = self._stretches[stretch] = self._probed(stretch)
        return changes

    def _probed(self, stretch: int) -> tuple[Change, ...]:
        found: list[Change] = []
        start, end = stretch * _STRETCH - 1, (stretch + 1) * _STRETCH - 1
        before = self.offset(start)
        for low in range(start, end, _PROBE):
            high = min(low + _PROBE, end)
            after = self.offset(high)
            if after != before:
                found.append(Change(self._change_in(low, high, before), before, after))
                before = after
        return tuple(found)

    def _change_in(self, low: int, high: int, before: int) -> int:
        """Return the one second in (low, high] from which the offset is another."""
        seconds = range(low + 1, high + 1)
        return seconds[
            bisect_right(seconds, False, key=lambda at: self.offset(at) != before)
        ]


@lru_cache(maxsize=1_024)
def find_zone(name: str) -> Zone:
    """Return the zone of an IANA name; an unknown one is a `RuleError` with a hint."""
    if _NAME.fullmatch(name) and not _NO_ZONES.fullmatch(name):
        try:
            return Zone(ZoneInfo(name))
        except (KeyError, ValueError, OSError):
            pass  # not there, not a zone file, or a folder such as "America"
    hint = _nearest_zone(name) if name else ", got nothing: write UTC or Europe/Berlin"
    raise RuleError(f"unknown time zone {quoted(name)}{hint}", field="timezone")


@lru_cache(maxsize=1)
def tzdata_version() -> str:
    """Return the version of the zone data in use, for example `2026a`.

    The system's data comes before the package's, as `zoneinfo` reads them. Data that
    does not say its version is named by a digest of one busy zone.
    """
    for folder in TZPATH:
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with Path(folder, name).open(encoding="ascii") as file:
                    return file.readline().removeprefix("# version").strip()
            except (OSError, UnicodeDecodeError):
                continue
        try:
            data = Path(folder, "Africa/Casablanca").read_bytes()
        except OSError:
            continue
        return f"unnamed-{hashlib.blake2b(data, digest_size=4).hexdigest()}"
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except (ImportError, AttributeError):
        return "unknown"


def _nearest_zone(name: str) -> str:
    known = {zone for zone in _zone_names() if not _NO_ZONES.fullmatch(zone)}
    city = name.strip().lower().replace(" ", "_").rpartition("/")[2]
    for zone in sorted(known):
        if zone.lower().rpartition("/")[2] == city:
            return f': did you mean "{zone}"?'
    return did_you_mean(name, known) or ": use an IANA name such as Europe/Berlin"


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # Reads the zone directory, some 20 ms; only a mistake needs it.
    return frozenset(available_timezones())


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None  # a ZoneInfo always has one
    return offset // timedelta(seconds=1)

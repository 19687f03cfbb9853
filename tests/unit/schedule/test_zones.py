from __future__ import annotations

import struct
import zoneinfo
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from jobs_grpc.schedule import RuleError, cron_rule
from jobs_grpc.schedule.zone import Zone, find_zone

DAY = 86_400
YEAR_1900 = -2_208_988_800


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "Europe/Rigga",
            'unknown time zone "Europe/Rigga": did you mean "Europe/Riga"?',
        ),
        ("europe/riga", 'unknown time zone "europe/riga": did you mean "Europe/Riga"?'),
        ("Riga", 'unknown time zone "Riga": did you mean "Europe/Riga"?'),
        ("New York", 'unknown time zone "New York": did you mean "America/New_York"?'),
        (
            "+02:00",
            'unknown time zone "+02:00": use an IANA name such as Europe/Berlin',
        ),
        ("America", 'unknown time zone "America"'),
        ("localtime", 'unknown time zone "localtime"'),
        ("right/UTC", 'unknown time zone "right/UTC"'),
        ("../../../etc/passwd", 'unknown time zone "../../../etc/passwd"'),
        ("UTC\0", 'unknown time zone "UTC\0"'),
        ("", 'unknown time zone "", got nothing: write UTC or Europe/Berlin'),
        ("x" * 10_000, 'unknown time zone "xxx'),
    ],
)
def test_an_unknown_zone_is_refused_with_a_hint(name: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        cron_rule("0 0 * * *", timezone=name)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 120
    assert caught.value.field == "timezone"


def test_a_zone_is_one_object() -> None:
    assert find_zone("Europe/Riga") is find_zone("Europe/Riga")
    assert cron_rule("0 0 * * *", timezone="Europe/Riga").timezone == "Europe/Riga"


def zone_file(name: str) -> bytes:
    """Return the bytes that `zoneinfo` reads for a zone."""
    for folder in zoneinfo.TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def recorded_changes(name: str) -> list[tuple[int, int, int]]:
    """Return the offset changes that the file of a zone lists (RFC 8536, version 2)."""
    data = zone_file(name)
    isut, isstd, leaps, times, types, letters = struct.unpack(">6l", data[20:44])
    start = 44 + times * 5 + types * 6 + letters + leaps * 8 + isstd + isut
    _, _, _, times, types, _ = struct.unpack(">6l", data[start + 20 : start + 44])
    start += 44
    at = struct.unpack(f">{times}q", data[start : start + 8 * times])
    kinds = data[start + 8 * times : start + 9 * times]
    table = start + 9 * times
    offsets = [
        struct.unpack(">l", data[table + 6 * kind : table + 6 * kind + 4])[0]
        for kind in range(types)
    ]
    held = [offsets[0], *(offsets[kind] for kind in kinds)]
    return [
        (when, before, after)
        for when, (before, after) in zip(at, pairwise(held), strict=True)
        if before != after
    ]


def test_no_zone_changes_more_often_than_zones_are_probed() -> None:
    closest = min(
        later[0] - earlier[0]
        for name in zoneinfo.available_timezones()
        for earlier, later in pairwise(recorded_changes(name))
        if earlier[0] > YEAR_1900
    )
    assert closest > 3 * DAY


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Riga",
        "America/New_York",
        "Australia/Lord_Howe",
        "Antarctica/Troll",
        "Africa/Casablanca",
        "Asia/Gaza",
        "Pacific/Apia",
        "Asia/Kathmandu",
        "Africa/Monrovia",  # had an offset of -00:44:30
    ],
)
def test_probing_finds_the_changes_that_are_recorded(name: str) -> None:
    recorded = [row for row in recorded_changes(name) if row[0] > YEAR_1900]
    # Later changes follow from a rule at the end of the file.
    found = walked(find_zone(name), YEAR_1900, recorded[-1][0])
    assert found == recorded


def walked(zone: Zone, first: int, last: int) -> list[tuple[int, int, int]]:
    found = []
    change = zone.first_change(first, last)
    while change is not None:
        found.append((change.at, change.before, change.after))
        change = zone.first_change(change.at, last)
    return found

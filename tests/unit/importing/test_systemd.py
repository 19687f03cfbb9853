"""systemd timers become jobs; what a timer means beyond that is said."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from jobs_grpc.client.importing.draft import Draft, Imported, Kind, Options
from jobs_grpc.client.importing.naming import Names
from jobs_grpc.client.importing.settling import settle
from jobs_grpc.client.importing.systemd import import_units
from jobs_grpc.client.importing.systemd_calendar import CalendarError, read_calendar
from jobs_grpc.client.importing.systemd_units import microseconds, words
from jobs_grpc.client.importing.writing import job_file
from jobs_grpc.jobfile import load_text
from jobs_grpc.schedule import Rule, parse_schedule

SERVICE = "[Service]\nType=oneshot\nExecStart=/usr/bin/true\n"

CALENDARS = {
    "Mon..Fri *-*-* 02:30:00 Europe/Berlin": "30 2 * * MON,TUE,WED,THU,FRI",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * MON",
    "monthly": "0 0 01 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "yearly": "0 0 1 1 *",
    "minutely": "* * * * *",
    "*-*-* 4:00:00": "0 4 * * *",
    "Sat,Sun 12:05": "5 12 * * SUN,SAT",
    "Saturday": "0 0 * * SAT",
    "mon,wed..fri 1:02:03": "3 2 1 * * MON,WED,THU,FRI",
    "*:0/15": "0-59/15 * * * *",
    "*-*-* 00/6:30": "30 0-23/6 * * *",
    "*-*-* 8..18:00,30": "0,30 8-18 * * *",
    "*:*:0/10": "0-59/10 * * * * *",
    "*-*-1,15 03:00": "0 3 1,15 * *",
    "*-02-29 06:00": "0 6 29 2 *",
    "12-24 18:00": "0 18 24 12 *",
    "*-*~01 23:00": "0 23 L * *",
    "Fri *-*~07/1 10:00": "0 10 * * 5L",
    "Mon *-*-1..7 10:00": "0 10 * * MON#1",
    "Tue,Thu *-*-08..14 10:00": "0 10 * * TUE#2,THU#2",
    "*-*-* 10:00 UTC": "0 10 * * *",
}


def imported(files: dict[str, str], **options: str) -> Imported:
    found = import_units(files, origin="", options=Options(**options), names=Names())
    settle(found)
    return found


def only(timer: str, service: str = SERVICE, **options: str) -> Draft:
    found = imported({"a.timer": timer, "a.service": service}, **options)
    assert found.drafts, [str(note) for note in found.notes]
    return found.drafts[0]


def says(draft: Draft, kind: Kind, part: str) -> bool:
    return any(note.kind is kind and part in str(note) for note in draft.notes)


@pytest.mark.parametrize("text", CALENDARS)
def test_calendar_events_become_cron_expressions(text: str) -> None:
    ours = parse_schedule(read_calendar(text).cron).rule
    assert ours.canonical == parse_schedule(CALENDARS[text]).rule.canonical


# Weekday and date together, and years: more than a cron expression.
BOUNDED = [
    "Mon *-*-1..10 10:00",
    "Fri *-*-13 00:00",
    "Sat,Sun *-*~01 06:00",
    "2028..2029-*-01 10:00",
    "2029-*-* 00/12:00",
]


def rule_of(text: str) -> Rule:
    """Return the rule of the schedule that an event is imported as."""
    timer = f"[Timer]\nOnCalendar={text}\n"
    (entry,) = only(timer).document["schedule"]
    return parse_schedule(entry).rule


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("text", [*CALENDARS, *BOUNDED])
def test_due_times_are_those_of_systemd(text: str) -> None:
    base = datetime(2027, 4, 1, 12, tzinfo=UTC)
    event = text if text.endswith(("UTC", "Berlin")) else f"{text} UTC"
    answer = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=20",
         f"--base-time={base:%Y-%m-%d %H:%M:%S} UTC", event],
        capture_output=True, text=True, check=False, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    theirs = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", answer.stdout)
    assert len(theirs) > 3
    rule = rule_of(text)
    ours = rule.between(
        int(base.timestamp()) * 1_000_000, 2**55, limit=len(set(theirs))
    )
    assert [
        f"{datetime.fromtimestamp(due // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"
        for due in ours
    ] == list(dict.fromkeys(theirs))


@pytest.mark.parametrize(
    "text",
    [
        "*-*~03 10:00",
        "2027,2029-*-01 10:00",
        "*-*~07/1 10:00",
        "*:*/5",
        "10:00:00.5",
        "Moonday 10:00",
        "10:60",
        "",
        "*-13-01",
        "garbage in here",
    ],
)
def test_what_cron_cannot_say_is_refused(text: str) -> None:
    with pytest.raises(CalendarError):
        read_calendar(text)


def test_an_event_with_a_year_is_one_instant_in_its_zone() -> None:
    draft = only("[Timer]\nOnCalendar=2027-07-15 10:00 Europe/Berlin\n")
    assert draft.document["schedule"] == [{"at": "2027-07-15T08:00:00Z"}]


def test_a_timer_with_its_service_is_a_job() -> None:
    timer = (
        "[Unit]\nDescription=Nightly\n[Timer]\nOnCalendar=Mon..Fri *-*-* 02:30:00\n"
        "OnCalendar=Sun 12:00 UTC\nPersistent=true\nRandomizedDelaySec=5min\n"
        "AccuracySec=1h\nWakeSystem=true\nUnit=dump.service\n[Install]\n"
    )
    service = (
        "# comment\n[Unit]\nDescription=Dump %p\nConditionPathExists=/srv\n"
        "OnFailure=mail.service\n[Service]\nType=oneshot\nUser=backup\nGroup=disk\n"
        'Environment="A=b c" D=e\nEnvironment=JOBS_X=1\nEnvironmentFile=/etc/default/x\n'
        "WorkingDirectory=/srv/data\nTimeoutStartSec=1h 30min\nTimeoutStopSec=20\n"
        "KillSignal=SIGINT\nProtectHome=true\nMemoryMax=1G\nRestart=on-failure\n"
        'ExecStart=/usr/bin/dump \\\n  --all "two words" %n\n'
    )
    found = imported(
        {"nightly.timer": timer, "dump.service": service}, timezone="Europe/Berlin"
    )
    (draft,) = found.drafts
    document = draft.document
    assert draft.name == "nightly"
    assert document["description"] == "Dump nightly"
    assert document["command"] == [
        "/usr/bin/dump", "--all", "two words", "nightly.service"
    ]  # fmt: skip
    assert document["environment"] == {"A": "b c", "D": "e"}
    assert document["working_dir"] == "/srv/data"
    assert document["timeout"] == "1h30m"
    assert document["cancel"] == {"grace": "20s", "signal": "INT"}
    assert document["catch_up"] == {"mode": "latest", "window": "365d"}
    crons = [one["cron"] for one in document["schedule"]]
    assert crons == ["30 2 * * MON,TUE,WED,THU,FRI", "0 12 * * SUN"]
    assert [one["timezone"] for one in document["schedule"]] == ["Europe/Berlin", "UTC"]
    assert any("zone of its host" in str(note) for note in found.notes)
    for kind, part in (
        (Kind.DROPPED, "JOBS_X is set for every job"),
        (Kind.DROPPED, "EnvironmentFile=/etc/default/x"),
        (Kind.DROPPED, "Group=disk"),
        (Kind.DROPPED, "OnFailure=mail.service"),
        (Kind.DROPPED, "ConditionPathExists=/srv"),
        (Kind.DROPPED, "[Service]: not carried over: MemoryMax, ProtectHome"),
        (Kind.DROPPED, "WakeSystem"),
        (Kind.CHANGED, "AccuracySec=1h"),
        (Kind.KEPT, "Persistent"),
    ):
        assert says(draft, kind, part), part
    # Carried over where job files know the key, named where they do not.
    for key, part in (("user", "it ran as backup"), ("retry", "is not tried again")):
        assert (key in document) != says(draft, Kind.DROPPED, part)
    jittered = [one.get("jitter") for one in document["schedule"]]
    assert (jittered == ["5m", "5m"]) != says(draft, Kind.DROPPED, "RandomizedDelaySec")
    load_text(job_file(draft), origin="nightly.yaml")


@pytest.mark.parametrize(
    ("lines", "command"),
    [
        (["/bin/a b"], ["/bin/a", "b"]),
        (["-/bin/a"], "{ /bin/a || true; }"),
        (["/bin/a", "/bin/b 'c d'"], "/bin/a && /bin/b 'c d'"),
        (["/bin/a ${X}y $Z 'q r'"], "/bin/a \"${X}\"y $Z 'q r'"),
        (["/bin/a $$HOME"], "/bin/a '$HOME'"),
        ([":/bin/a $HOME"], ["/bin/a", "$HOME"]),
        (["@/bin/a argv0 b"], ["/bin/a", "b"]),
        (['/bin/sh -c "echo \\"x\\"; date"'], ["/bin/sh", "-c", 'echo "x"; date']),
    ],
)
def test_command_lines_are_split_as_systemd_does(
    lines: list[str], command: str | list[str]
) -> None:
    service = "[Service]\nType=oneshot\n" + "".join(f"ExecStart={x}\n" for x in lines)
    assert only("[Timer]\nOnCalendar=daily\n", service).document["command"] == command


def test_intervals_count_on_a_grid() -> None:
    draft = only("[Timer]\nOnBootSec=5min\nOnUnitActiveSec=1h 30min\n")
    assert draft.document["schedule"] == [{"every": "1h30m"}]
    assert draft.document["catch_up"] == "none"
    assert says(draft, Kind.CHANGED, "counts from the last start")
    assert says(draft, Kind.DROPPED, "OnBootSec=5min")


def test_an_interval_after_the_end_is_one_or_says_that_it_is_not() -> None:
    draft = only("[Timer]\nOnUnitInactiveSec=10min\n")
    (schedule,) = draft.document["schedule"]
    assert schedule["every"] == "10m"
    dropped = says(draft, Kind.DROPPED, "counts from the last end")
    assert (schedule.get("from") == "end") != dropped


@pytest.mark.parametrize(
    ("timer", "service", "part"),
    [
        ("[Timer]\nOnBootSec=5min\n", SERVICE, "only after a start of the host"),
        ("[Timer]\nOnCalendar=2027,2029-*-01\n", SERVICE, "only a range of years"),
        ("[Timer]\nOnCalendar=daily\nUnit=b.service\n", SERVICE, "b.service is not"),
        ("[Timer]\nOnCalendar=daily\n", "[Service]\n", "has no ExecStart="),
        ("[Timer]\nOnCalendar=daily\n", "[Service]\nExecStart=/a %H\n", "specifier %H"),
        ("[Timer]\nOnUnitActiveSec=soon\n", SERVICE, "no time span"),
    ],
)
def test_what_cannot_be_a_job_is_named(timer: str, service: str, part: str) -> None:
    found = imported({"a.timer": timer, "a.service": service})
    assert not found.drafts
    assert any(n.kind is Kind.REFUSED and part in n.message for n in found.notes)


def test_drop_ins_and_instances_of_templates_are_read() -> None:
    found = imported(
        {
            "sync@.timer": "[Timer]\nOnCalendar=daily\n",
            "sync@db.timer": "[Timer]\nOnCalendar=daily\n",
            "sync@db.timer.d/x.conf": "[Timer]\nOnCalendar=\nOnCalendar=hourly\n",
            "sync@.service": "[Service]\nExecStart=/bin/sync %i\n",
        }
    )
    (draft,) = found.drafts
    assert draft.name == "sync-db"
    assert draft.document["command"] == ["/bin/sync", "db"]
    assert draft.document["schedule"][0]["cron"] == "0 * * * *"


@pytest.mark.parametrize(
    ("text", "length"),
    [("90", 90_000_000), ("1h 30min", 5_400_000_000), ("1.5s", 1_500_000), ("2x", None),
     ("infinity", None), ("1M", 2_629_800_000_000), ("5m", 300_000_000)],
)  # fmt: skip
def test_time_spans_are_systemd_s(text: str, length: int | None) -> None:
    assert microseconds(text) == length


@pytest.mark.parametrize(
    ("text", "expected"),
    [('a "b c"', ["a", "b c"]), ('X="a b"', ["X=a b"]), ('"open', None), ("", []),
     (r"a\x20b", [r"a\x20b"]), ("''", [""])],
)  # fmt: skip
def test_words_are_split_by_systemd_s_quotes(text: str, expected: list[str]) -> None:
    assert words(text) == expected

"""Crontabs become jobs that are due when cron started their commands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs_grpc.client.importing.crontab import import_crontab, split_percent
from jobs_grpc.client.importing.draft import Draft, Imported, Kind, Options
from jobs_grpc.client.importing.naming import Names
from jobs_grpc.client.importing.settling import settle
from jobs_grpc.client.importing.writing import job_file
from jobs_grpc.jobfile import load_text
from jobs_grpc.schedule import next_times as our_next_times
from unit.importing import crontab_judge

SHOP = Path(__file__).parents[2] / "fixtures" / "shop.crontab"
LINES = SHOP.read_text().splitlines()
START = datetime(2027, 1, 1, tzinfo=UTC)
COUNT = 50


def imported(text: str, *, system: bool = False, **options: str) -> Imported:
    found = import_crontab(
        text,
        origin="tab",
        options=Options(**options),
        system=system,
        names=Names(),
    )
    settle(found)
    return found


def only(text: str, *, system: bool = False, **options: str) -> Draft:
    (draft,) = imported(text, system=system, **options).drafts
    return draft


def notes(found: Imported) -> list[str]:
    return [str(note) for note in found.all_notes()]


FOUND = imported(SHOP.read_text(), timezone="Europe/Berlin")
BY_LINE = {int(draft.place.partition(":")[2]): draft for draft in FOUND.drafts}


def test_the_fixture_is_a_crontab_of_many_lines() -> None:
    entries = [
        line
        for line in LINES
        if line.lstrip().startswith(("*", "@", "-", *"0123456789"))
    ]
    assert len(entries) >= 40
    refused = [note for note in FOUND.notes if note.kind is Kind.REFUSED]
    # What cron refuses, and what a fleet cannot say.
    topics = {int(one.place.partition(":")[2]): one.topic for one in refused}
    assert {LINES[number - 1].split()[-1] for number in topics} == {
        "/usr/local/bin/warm-the-cache",
        "./step-without-range",
        "./no-such-hour",
        "./falling-range",
        "crontab",
        "*",
    }
    assert "@reboot" in topics.values()
    assert len(FOUND.drafts) + len(refused) - 1 == len(entries)


@pytest.mark.parametrize("number", BY_LINE)
def test_each_line_is_due_when_debian_s_cron_starts_it(number: int) -> None:
    draft = BY_LINE[number]
    (job,) = load_text(job_file(draft), origin="job.yaml")
    zone = job.document.timezone
    after = START.replace(hour=12)
    ours = our_next_times(
        [schedule.rule for schedule in job.document.schedules],
        int(after.timestamp()) * 1_000_000,
        COUNT,
    )
    cron_s = crontab_judge.next_times(LINES[number - 1], zone, after, COUNT)
    assert [due // 1_000_000 for due in ours] == cron_s
    assert len(cron_s) == COUNT or "29 2" in LINES[number - 1]


def test_the_clock_changes_are_among_what_is_compared() -> None:
    # Every hour of two days: these cross the changes that the lists above may not.
    for change in (
        datetime(2027, 3, 27, tzinfo=UTC),
        datetime(2027, 10, 30, tzinfo=UTC),
    ):
        for number, draft in BY_LINE.items():
            (job,) = load_text(job_file(draft), origin="job.yaml")
            ours = our_next_times(
                [one.rule for one in job.document.schedules],
                int(change.timestamp()) * 1_000_000,
                5,
            )
            theirs = crontab_judge.next_times(
                LINES[number - 1], job.document.timezone, change, 5
            )
            assert [due // 1_000_000 for due in ours] == theirs, LINES[number - 1]


@pytest.mark.parametrize(
    "expected",
    [
        "tab: changed: zone: it ran in the zone of its host",
        "tab: changed: overlap: cron starts a command while the last one still runs",
        "tab: changed: time limit: cron has none",
        "tab: changed: directory:",
        "tab: kept: missed times:",
        "dropped: mail: output is not mailed to ops@example.com",
        "kept: mail: nothing was mailed",
        "kept: zone: TZ is the zone of the commands",
        "changed: zone: the lines below are due in America/New_York",
        "dropped: environment: JOB_NAME is set for every job",
        "dropped: environment: LOGNAME is set by cron",
        "kept: environment: GREETING is taken as written",
        "kept: environment: the commands below are run by /bin/bash -c",
        "not imported: @reboot: a fleet has no single start",
        "kept: %: what follows the first % is standard input",
        "kept: %: \\% is written as a plain %",
        "kept: days: due on the days of the month and on the days of the week",
        "kept: days: a column that begins with * restricts the other",
        "changed: log: the - kept the line out of the system log",
        "kept: braces: {{name}} would be a placeholder here",
        "not imported: line: minute: '5/15' has a step without a range",
        "not imported: line: hour: '25' is outside 0-23",
        "not imported: line: day of week: the range 'fri-mon' falls",
        "not imported: line: there is no command after the five columns",
        "not imported: line: minute: 'this' is not what crontab(5) allows",
    ],
)
def test_the_report_names_each_change_of_meaning(expected: str) -> None:
    assert any(expected in one for one in notes(FOUND))


def test_assignments_reach_the_commands_below_them() -> None:
    document = BY_LINE[LINES.index("* * * * * /usr/local/bin/heartbeat") + 1].document
    assert document["environment"] == {
        "SHELL": "/bin/bash",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/srv/shop",
        "LANG": "de_DE.UTF-8",
        "TZ": "Europe/Berlin",
        "QUOTED NAME": "a value with blanks ",
        "EMPTY": "",
        "GREETING": "hello $USER",
    }
    assert document["working_dir"] == "/srv/shop"
    assert document["command"] == ["/bin/bash", "-c", "/usr/local/bin/heartbeat"]
    assert document["description"] == "plain numbers and stars"


def test_an_assignment_does_not_reach_the_lines_above_it() -> None:
    first, second = imported("@daily a\nX=1\n@daily b\n").drafts
    assert "environment" not in first.document
    assert second.document["environment"] == {"X": "1"}


@pytest.mark.parametrize(
    ("command", "line", "stdin"),
    [
        ("cat", "cat", ""),
        ("cat%", "cat", ""),
        ("cat%one", "cat", "one\n"),
        ("cat%one%two%", "cat", "one\ntwo\n"),
        ("cat%%two", "cat", "\ntwo\n"),
        (r"date +\%F", "date +%F", ""),
        (r"date +\%F%in\%put", "date +%F", "in%put\n"),
        (r"echo a\b", r"echo a\b", ""),
        # The second backslash is not free to escape the percent sign.
        (r"echo \\%in", r"echo \\", "in\n"),
    ],
)
def test_percent_signs_follow_do_command_c(command: str, line: str, stdin: str) -> None:
    assert split_percent(command) == (line, stdin)


def test_a_system_crontab_has_a_user_column() -> None:
    draft = only("17 * * * * root cd / && run-parts /etc/cron.hourly\n", system=True)
    assert draft.document["command"] == "cd / && run-parts /etc/cron.hourly"
    assert draft.name == "run-parts"
    said = [str(note) for note in draft.notes]
    assert draft.document.get("user") == "root" or any(
        "it ran as root" in s for s in said
    )


def test_a_system_line_without_a_command_is_refused() -> None:
    found = imported("17 * * * * root\n", system=True)
    assert not found.drafts
    assert "there should be a user and a command" in notes(found)[0]


def test_names_are_those_of_the_programs_and_unique() -> None:
    found = imported(
        "@daily /usr/bin/backup.sh a\n@daily /opt/backup.sh b\n"
        "@daily cd /x && FOO=1 nice -n 5 ./report.py\n@daily [ -x /a ] && /a\n"
        "@daily 'unclosed\n"
    )
    assert [draft.name for draft in found.drafts] == [
        "backup", "backup-2", "report", "a", "unclosed"
    ]  # fmt: skip


def test_a_delay_that_only_cronie_knows_is_said() -> None:
    found = imported("RANDOM_DELAY=5\n0 3 * * * c\n")
    assert found.drafts[0].document["schedule"]["jitter"] == "5m"
    assert (
        "tab:1: changed: jitter: the lines below start up to 5 minutes late, as in"
        " cronie; Debian's cron takes no notice of RANDOM_DELAY"
    ) in notes(found)


@pytest.mark.parametrize("value", ["0", "", "00"])
def test_no_delay_is_none_and_ends_the_one_above(value: str) -> None:
    text = f"RANDOM_DELAY=5\n0 3 * * * a\nRANDOM_DELAY={value}\n0 4 * * * b\n"
    first, second = imported(text).drafts
    assert first.document["schedule"]["jitter"] == "5m"
    assert "jitter" not in second.document["schedule"]


@pytest.mark.parametrize("value", ["soon", "-5", "1.5", "9" * 5_000])
def test_a_delay_that_is_no_number_is_left_out_and_said(value: str) -> None:
    found = imported(f"RANDOM_DELAY={value}\n0 3 * * * c\n")
    assert "jitter" not in found.drafts[0].document["schedule"]
    said = [one for one in notes(found) if "RANDOM_DELAY" in one]
    assert said == [
        f"tab:1: dropped: jitter: RANDOM_DELAY={value} is no whole number of minutes"
    ]


def test_an_empty_zone_is_that_of_the_host_again() -> None:
    text = "CRON_TZ=Asia/Tokyo\n0 3 * * * a\nCRON_TZ=\n0 3 * * * b\n"
    found = imported(text, timezone="Europe/Berlin")
    zones = [draft.document["timezone"] for draft in found.drafts]
    assert zones == ["Asia/Tokyo", "Europe/Berlin"]
    said = notes(found)
    assert (
        "tab:3: changed: zone: CRON_TZ is empty: the lines below are due in the zone of"
        " the host, imported in Europe/Berlin (--timezone says another)"
    ) in said
    assert not [one for one in said if "due in ," in one]


def test_an_unknown_zone_promises_nothing() -> None:
    found = imported("CRON_TZ=Nowhere/Zone\n0 3 * * * c\n")
    assert not found.drafts
    (said,) = [one for one in notes(found) if one.startswith("tab:1:")]
    assert said.startswith(
        'tab:1: not imported: zone: CRON_TZ: unknown time zone "Nowhere/Zone"'
    )
    assert said.endswith("; the lines below are left out")
    assert not [one for one in notes(found) if "are due in" in one]


def test_random_ranges_are_drawn_from_the_name() -> None:
    draft = only("0~29 ~ * * * ./spread\n")
    assert draft.document["schedule"] == {"cron": "H(0-29) H * * *"}
    assert any(note.topic == "~" for note in draft.notes)


def test_crons_own_overlap_can_be_kept() -> None:
    found = imported("@daily x\n", overlap="allow")
    assert found.drafts[0].document["overlap"] == "allow"
    assert not any(note.topic == "overlap" for note in found.notes)


@pytest.mark.parametrize(
    "text",
    [
        "* * * * * echo 12:30 no 0o17 1e3 0x1f ~ null\nX=0o17\nY=1e3\nZ=no\n@daily x\n",
        "V=- a\nW='#x'\nA=0777\n@daily echo ' # {{job_name}} {{a}}'%{{b}}\n",
        "# \x1b[31m\n@daily \tprintf '\\t' # not a comment\n",
    ],
)
def test_whatever_it_says_the_file_says_the_same(text: str) -> None:
    for draft in imported(text).drafts:
        (job,) = load_text(job_file(draft), origin="job.yaml")
        environment = draft.document.get("environment", {})
        assert dict(job.document.environment) == environment
        command = draft.document["command"]
        assert job.document.command == (
            tuple(command) if isinstance(command, list) else command
        )

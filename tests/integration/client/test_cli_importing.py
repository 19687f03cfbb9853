"""`import` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli import jobs_grpc

UTC = {"TZ": "UTC"}
SHOP = Path(__file__).parents[2] / "fixtures" / "shop.crontab"


def test_a_crontab_becomes_files_that_validate(tmp_path: Path) -> None:
    into = tmp_path / "jobs"
    ended = jobs_grpc(
        "import", "crontab", str(SHOP), "--into", str(into),
        "--timezone", "Europe/Berlin",
    )  # fmt: skip
    assert ended.code == 0
    files = sorted(into.iterdir())
    assert len(ended.out.splitlines()) == len(files) >= 40
    lines = SHOP.read_text().splitlines()
    reboot = lines.index("@reboot /usr/local/bin/warm-the-cache") + 1
    assert f"{SHOP}:{reboot}: not imported: @reboot:" in ended.err
    assert "in Europe/Berlin" in ended.err
    assert f"{len(files)} jobs imported, 6 not imported" in ended.err
    validated = jobs_grpc("job", "validate", "-f", str(into))
    assert validated.code == 0
    assert len(validated.out.splitlines()) == len(files)
    backup = "30 2 * * * /usr/local/bin/backup.sh --full"
    head = (into / "backup.yaml").read_text().splitlines()
    assert head[:2] == [
        f"# Imported from {SHOP}:{lines.index(backup) + 1}:",
        f"#   {backup}",
    ]


def test_existing_files_are_not_replaced_unless_forced(tmp_path: Path) -> None:
    kept = tmp_path / "b.yaml"
    kept.write_text("mine")
    tab = b"@daily a\n@daily b\n"
    words = ("import", "crontab", "-", "--into", str(tmp_path))
    ended = jobs_grpc(*words, stdin=tab)
    assert ended.code == 5
    assert "b.yaml: exists already; nothing was written" in ended.err
    assert [one.name for one in tmp_path.iterdir()] == ["b.yaml"]
    assert jobs_grpc(*words, "--force", stdin=tab).code == 0
    assert "command: b" in kept.read_text()


def test_standard_input_becomes_standard_output_that_can_be_applied() -> None:
    ended = jobs_grpc("import", "crontab", "-", stdin=b"@daily a\n@hourly b\n", env=UTC)
    assert ended.code == 0
    validated = jobs_grpc("job", "validate", "-f", "-", stdin=ended.out.encode())
    assert validated.code == 0
    assert len(validated.out.splitlines()) == 2


def test_json_has_documents_and_notes() -> None:
    ended = jobs_grpc(
        "import", "crontab", "-", "-o", "json", stdin=b"@reboot a\n@daily b\n"
    )
    whole = ended.json()
    assert [one["document"]["command"] for one in whole["data"]] == ["b"]
    assert {
        "place": "-:1",
        "kind": "not imported",
        "topic": "@reboot",
    }.items() <= whole["notes"][0].items()


def test_strict_says_by_the_exit_code_that_something_is_missing() -> None:
    words = ("import", "crontab", "-", "--strict")
    assert jobs_grpc(*words, stdin=b"@daily b\n").code == 0
    ended = jobs_grpc(*words, stdin=b"@reboot a\n@daily b\n")
    assert ended.code == 1
    assert "1 not imported" in ended.err


@pytest.mark.parametrize("flag", [(), ("--system",)])
def test_a_folder_of_system_crontabs_is_recognized(
    tmp_path: Path, flag: tuple[str, ...]
) -> None:
    folder = tmp_path / ("x" if flag else "cron.d")
    folder.mkdir()
    (folder / "certbot").write_text("0 */12 * * * root certbot -q renew\n")
    (folder / "left.dpkg-old").write_text("nonsense")
    ended = jobs_grpc("import", "crontab", str(folder), *flag, "-o", "json")
    (one,) = ended.json()["data"]
    assert one["document"]["command"] == "certbot -q renew"


def test_a_folder_of_units_and_one_timer(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (tmp_path / f"{name}.service").write_text("[Service]\nExecStart=/bin/true\n")
    drop_ins = tmp_path / "a.timer.d"
    drop_ins.mkdir()
    (drop_ins / "later.conf").write_text("[Timer]\nOnCalendar=\nOnCalendar=12:00\n")
    ended = jobs_grpc("import", "systemd", str(tmp_path), "-o", "name")
    assert ended.out.split() == ["a", "b"]
    ended = jobs_grpc("import", "systemd", str(tmp_path / "a.timer"), "-o", "json")
    (one,) = ended.json()["data"]
    assert one["document"]["schedule"][0]["cron"] == "0 12 * * *"


def test_manifests_from_standard_input() -> None:
    manifest = b"""
kind: CronJob
metadata: {name: x}
spec:
  schedule: "@daily"
  jobTemplate: {spec: {template: {spec: {containers: [{image: i, command: [c]}]}}}}
"""
    ended = jobs_grpc(
        "import", "kubernetes", "-", stdin=manifest, env={"TZ": "Asia/Tokyo"}
    )
    assert ended.code == 0
    # The zone is the cluster's, not this host's.
    assert "timezone: UTC" in ended.out
    assert "changed: image: i is not run" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("crontab", "/nonexistent"), 3, "there is no such file"),
        (("systemd", "/etc/passwd"), 2, "is not a .timer"),
        (("crontab", "-", "--timezone", "Europe/Berln"), 2, "Europe/Berlin"),
        (("crontab", "-", "--job-timeout", "soon"), 2, "--job-timeout"),
        (("crontab", "-", "--job-timeout", "0"), 2, "longer than zero"),
    ],
)
def test_mistakes_are_named(words: tuple[str, ...], code: int, part: str) -> None:
    ended = jobs_grpc("import", *words)
    assert ended.code == code
    assert part in ended.err


def test_a_broken_encoding_is_placed() -> None:
    ended = jobs_grpc("import", "crontab", "-", stdin=b"@daily a\n@daily \xff\n")
    assert ended.code == 2
    assert "-:2: is not UTF-8" in ended.err

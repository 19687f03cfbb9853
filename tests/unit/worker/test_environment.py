from __future__ import annotations

import pwd

import pytest

from jobs_grpc.worker.processes.environment import (
    PATH,
    environment,
    ordinary,
    param_name,
    rfc3339,
)
from unit.worker.stand_ins import a_lease

DAEMON = {"SECRET_TOKEN": "x", "PATH": "/opt/bin", "LANG": "de_DE.UTF-8", "HOME": "/x"}


def test_nothing_of_the_daemon_is_inherited_but_language_and_zone() -> None:
    found = ordinary(DAEMON)
    assert set(found) == {"PATH", "SHELL", "LANG", "HOME", "USER", "LOGNAME"}
    assert (found["PATH"], found["LANG"]) == (PATH, "de_DE.UTF-8")
    assert found["HOME"] == pwd.getpwnam(found["USER"]).pw_dir
    assert ordinary({})["LANG"] == "C.UTF-8"
    assert ordinary({"TZ": "Europe/Riga"})["TZ"] == "Europe/Riga"


def test_a_user_without_a_name_has_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    found = ordinary({})
    assert found["HOME"] == "/"
    assert "USER" not in found


def test_a_job_knows_what_it_is() -> None:
    lease = a_lease(
        7,
        attempt=2,
        workspace="my-app",
        job="backup",
        scheduled_for=1_769_904_000_000_000,
        traceparent="00-ab-cd-01",
        params={"db.name": "orders", "né": "1"},
    )
    assert environment(lease, base={"PATH": PATH}, output_dir="/out") == {
        "PATH": PATH,
        "JOB_NAME": "backup",
        "WORKSPACE_ID": "my-app",
        "JOBS_EXECUTION_ID": "execution-7",
        "JOBS_ATTEMPT": "2",
        "JOBS_FENCE": "7",
        "JOBS_SCHEDULED_FOR": "2026-02-01T00:00:00Z",
        "JOBS_OUTPUT_DIR": "/out",
        "JOBS_PARAM_DB_NAME": "orders",
        "JOBS_PARAM_N_": "1",
        "TRACEPARENT": "00-ab-cd-01",
    }


def test_the_job_has_the_last_word_on_all_but_the_fence() -> None:
    own = {"PATH": "/mine", "JOB_NAME": "alias", "JOBS_FENCE": "8", "X": "y"}
    found = environment(a_lease(7, environment=own), base={}, output_dir="/out")
    assert {name: found[name] for name in own} == own | {"JOBS_FENCE": "7"}


def test_absent_things_are_absent() -> None:
    found = environment(a_lease(), base={}, output_dir="/out")
    assert not {"JOBS_SCHEDULED_FOR", "TRACEPARENT"} & set(found)


def test_instants_have_a_fraction_only_where_they_have_one() -> None:
    assert rfc3339(1_500_000) == "1970-01-01T00:00:01.500000Z"
    assert rfc3339(0) == "1970-01-01T00:00:00Z"


def test_param_names_become_names_of_variables() -> None:
    assert param_name("a-b.c d") == "A_B_C_D"

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from jobs_grpc.controlplane.core.state.inputs import DeleteJob, Input, SetJobEnabled
from jobs_grpc.controlplane.leader.folder import JobsFolder, Pass
from jobs_grpc.controlplane.leader.journal import NotLeadingError
from support.jobs import apply, key, spec
from support.reign import Reign
from support.until import until


def write(path: Path, *documents: dict[str, Any] | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        documents[0]
        if len(documents) == 1 and isinstance(documents[0], str)
        else "\n---\n".join(json.dumps(one) for one in documents)
    )


def job(name: str, command: str = "true", **keys: Any) -> dict[str, Any]:
    return {"name": name, "command": command, **keys}


def names(reign: Reign) -> set[str]:
    return {name for _, _, name in reign.leader.core.live.jobs}


def source(reign: Reign, name: str) -> str:
    return reign.leader.core.live.jobs[key(name)].source


@pytest.fixture
def folder(reign: Reign, tmp_path: Path) -> JobsFolder:
    return JobsFolder(reign.leader, tmp_path)


async def test_files_become_jobs_and_only_the_difference_is_applied(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.json", job("a"))
    write(tmp_path / "deep" / "er" / "b.yaml", job("b"), job("c"))
    write(tmp_path / "d.toml", 'name = "d"\ncommand = "true"\n')
    write(tmp_path / "README.md", "not a job")
    assert await folder.run_once() == Pass(applied=4)
    assert names(reign) == {"a", "b", "c", "d"}
    assert source(reign, "c") == f"folder:{tmp_path / 'deep' / 'er' / 'b.yaml'}"
    assert await folder.run_once() == Pass()
    write(tmp_path / "a.json", job("a", "false"))
    assert await folder.run_once() == Pass(applied=1)
    assert reign.leader.core.live.jobs[key("a")].revision == 2


async def test_a_job_goes_with_its_file_or_its_place_in_it(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    write(tmp_path / "b.yaml", job("b"), job("c"))
    await folder.run_once()
    (tmp_path / "a.yaml").unlink()
    write(tmp_path / "b.yaml", job("b"))
    assert await folder.run_once() == Pass(removed=2)
    assert names(reign) == {"b"}


async def test_dependants_need_not_come_after_what_they_depend_on(
    reign: Reign,
    folder: JobsFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / "a.yaml", job("a", depends_on="b"))
    write(tmp_path / "b.yaml", job("b", depends_on=["c"]))
    write(tmp_path / "c.yaml", job("c"))
    write(tmp_path / "d.yaml", job("d", depends_on="cc"))
    assert await folder.run_once() == Pass(applied=3)
    assert names(reign) == {"a", "b", "c"}
    (told,) = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert 'd.yaml: job "d" depends on "cc"' in told
    assert 'did you mean "c"?' in told


async def test_a_broken_file_is_told_and_keeps_its_jobs(
    reign: Reign,
    folder: JobsFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    write(tmp_path / "b.yaml", job("b"))
    await folder.run_once()
    write(tmp_path / "a.yaml", "name: a\ncomand: true\n")
    write(tmp_path / "b.yaml", job("b", "false"))
    assert await folder.run_once() == Pass(applied=1, broken=1)
    assert names(reign) == {"a", "b"}
    assert f"{tmp_path / 'a.yaml'}:2" in caplog.text
    assert await folder.run_once() == Pass()
    write(tmp_path / "a.yaml", job("new"))
    assert await folder.run_once() == Pass(applied=1, removed=1)
    assert names(reign) == {"b", "new"}


async def test_a_file_that_was_broken_all_along_keeps_its_jobs_over_a_restart(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    await folder.run_once()
    write(tmp_path / "a.yaml", "{")
    await reign.begin()
    assert await folder.run_once() == Pass(broken=1)
    assert names(reign) == {"a"}


async def test_one_name_in_two_files_belongs_to_the_first(
    reign: Reign,
    folder: JobsFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    write(tmp_path / "b.yaml", job("same", "second"))
    write(tmp_path / "a.yaml", job("same", "first"), job("other"))
    await folder.run_once()
    assert reign.leader.core.live.jobs[key("same")].spec.work.line == "first"
    (warning,) = caplog.messages
    assert warning.startswith(f'{tmp_path / "b.yaml"}: job "same"')
    assert str(tmp_path / "a.yaml") in warning
    (tmp_path / "a.yaml").unlink()
    await folder.run_once()
    assert reign.leader.core.live.jobs[key("same")].spec.work.line == "second"
    assert names(reign) == {"same"}


async def test_a_job_that_moves_to_another_file_is_neither_removed_nor_changed(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    await folder.run_once()
    (tmp_path / "a.yaml").rename(tmp_path / "z.yaml")
    assert await folder.run_once() == Pass()
    assert source(reign, "a") == f"folder:{tmp_path / 'z.yaml'}"
    assert reign.leader.core.live.jobs[key("a")].revision == 1


async def test_a_job_that_cannot_stand_does_not_keep_the_others_out(
    reign: Reign,
    folder: JobsFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.yaml", job(f"job-{number}"))
    write(tmp_path / "wrong.yaml", job("wrong", queue="nowhere"))
    assert (await folder.run_once()).applied == 5
    assert len(names(reign)) == 5
    assert f"{tmp_path / 'wrong.yaml'}: job" in caplog.text
    assert 'queue "nowhere" does not exist' in caplog.text


async def test_after_a_restart_the_jobs_of_files_that_are_gone_are_removed(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    write(tmp_path / "b.yaml", job("b"))
    await folder.run_once()
    (tmp_path / "a.yaml").unlink()
    await reign.begin()
    assert await folder.run_once() == Pass(removed=1)
    assert names(reign) == {"b"}


async def test_after_a_restart_an_empty_folder_has_no_jobs(
    reign: Reign, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    await JobsFolder(reign.leader, tmp_path).run_once()
    (tmp_path / "a.yaml").unlink()
    await reign.begin()
    assert await JobsFolder(reign.leader, tmp_path).run_once() == Pass(removed=1)
    assert names(reign) == set()


async def test_a_restart_changes_nothing_of_jobs_whose_files_did_not(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a", schedule="every 1h"))
    await folder.run_once()
    await reign.leader.submit(SetJobEnabled(key("a"), False))
    await reign.begin()
    assert await folder.run_once() == Pass()
    live = reign.leader.core.live.jobs[key("a")]
    assert (live.revision, live.enabled) == (1, False)


async def test_a_job_that_somebody_else_took_over_is_not_removed(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    write(tmp_path / "b.yaml", job("b"))
    await folder.run_once()
    await reign.leader.submit(apply(spec(name="a", command="by hand")))
    (tmp_path / "a.yaml").unlink()
    assert await folder.run_once() == Pass()
    assert names(reign) == {"a", "b"}


async def test_a_job_of_the_api_is_left_alone(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    await reign.leader.submit(apply(spec(name="by-hand")))
    write(tmp_path / "a.yaml", job("a"))
    await folder.run_once()
    assert names(reign) == {"a", "by-hand"}


async def test_a_job_that_somebody_else_deleted_meanwhile_is_no_trouble(
    reign: Reign,
    folder: JobsFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.yaml", job(name))
    await folder.run_once()
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").unlink()
    submit = reign.leader.submit

    async def somebody_is_faster(one: Input) -> object:
        if one == DeleteJob(key("b")):
            await submit(one)
        return await submit(one)

    monkeypatch.setattr(reign.leader, "submit", somebody_is_faster)
    assert await folder.run_once() == Pass(removed=2)
    assert names(reign) == {"c"}


async def test_a_folder_that_is_away_keeps_its_jobs(
    reign: Reign, tmp_path: Path
) -> None:
    place = tmp_path / "jobs"
    folder = JobsFolder(reign.leader, place)
    write(place / "a.yaml", job("a"))
    await folder.run_once()
    place.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        await folder.run_once()
    assert names(reign) == {"a"}
    (tmp_path / "away").rename(place)
    assert await folder.run_once() == Pass()


async def test_what_is_hidden_or_no_file_is_passed_over(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / ".hidden.yaml", job("hidden"))
    write(tmp_path / ".git" / "a.yaml", job("in-git"))
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    write(tmp_path / "elsewhere" / "real.txt", job("linked"))
    (tmp_path / "linked.yaml").symlink_to(tmp_path / "elsewhere" / "real.txt")
    assert await folder.run_once() == Pass(applied=1)
    assert names(reign) == {"linked"}


async def test_without_a_leader_a_pass_changes_nothing_and_is_made_up_for(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(tmp_path / "a.yaml", job("a"))
    await reign.end()
    with pytest.raises(NotLeadingError):
        await folder.run_once()
    await reign.begin()
    assert await folder.run_once() == Pass(applied=1)


async def test_a_workspace_file_defines_its_jobs(
    reign: Reign, folder: JobsFolder, tmp_path: Path
) -> None:
    write(
        tmp_path / "shop.json",
        {
            "name": "shop",
            "variables": {"region": "eu"},
            "jobs": [job("a"), job("b")],
        },
    )
    assert (await folder.run_once()).applied == 2
    assert set(reign.leader.core.live.jobs) == {key("a", "shop"), key("b", "shop")}


async def test_the_loop_survives_trouble_and_says_it_once(
    reign: Reign,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("jobs_grpc.controlplane.leader.folder.EVERY", 0.01)
    caplog.set_level(logging.INFO)
    place = tmp_path / "jobs"
    folder = JobsFolder(reign.leader, place)
    passes = 0
    look = folder.run_once

    async def counted() -> Pass:
        nonlocal passes
        passes += 1
        return await look()

    monkeypatch.setattr(folder, "run_once", counted)
    loop = asyncio.create_task(folder.run())
    await until(lambda: passes >= 3)
    assert len([one for one in caplog.records if "No such file" in one.message]) == 1
    write(place / "a.yaml", job("a"))
    await until(lambda: names(reign) == {"a"})
    await reign.end()
    write(place / "b.yaml", job("b"))
    seen = passes
    await until(lambda: passes >= seen + 3)
    await reign.begin()
    await until(lambda: names(reign) == {"a", "b"})
    loop.cancel()
    await asyncio.wait([loop])
    assert loop.cancelled()

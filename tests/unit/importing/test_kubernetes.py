"""CronJobs become jobs; what a cluster did beyond that is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs_grpc.client.importing.draft import Draft, Imported, Kind, Options
from jobs_grpc.client.importing.kubernetes import import_manifests
from jobs_grpc.client.importing.naming import Names
from jobs_grpc.client.importing.settling import settle
from jobs_grpc.client.importing.writing import job_file
from jobs_grpc.jobfile import load_text

WHOLE = """
apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly-report
  namespace: sales
  labels: {app: report, tier: "1"}
spec:
  schedule: "30 2 * * 1-5"
  timeZone: Europe/Berlin
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  suspend: true
  successfulJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: 3600
      ttlSecondsAfterFinished: 86400
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 15
          serviceAccountName: reporter
          nodeSelector: {disk: ssd}
          containers:
            - name: report
              image: registry.example.com/report:1.2
              command: ["/bin/report", "--month"]
              args: ["$(MONTH)", "$$(HOME)", "$(UNKNOWN)"]
              workingDir: /data
              env:
                - {name: MONTH, value: "12"}
                - {name: LABEL, value: "m-$(MONTH)"}
                - {name: JOB_NAME, value: mine}
                - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: t}}}
              envFrom: [{configMapRef: {name: settings}}]
              resources: {limits: {memory: 1Gi}}
"""


def imported(text: str, **options: str) -> Imported:
    found = import_manifests(
        text, origin="m.yaml", options=Options(**options), names=Names()
    )
    settle(found)
    return found


def manifest(spec: dict[str, Any], container: dict[str, Any] | None = None) -> str:
    pod = {"containers": [{"image": "i", "command": ["c"], **(container or {})}]}
    whole = {"jobTemplate": {"spec": {"template": {"spec": pod}}}, **spec}
    return json.dumps({"kind": "CronJob", "metadata": {"name": "a"}, "spec": whole})


def only(spec: dict[str, Any], container: dict[str, Any] | None = None) -> Draft:
    found = imported(manifest(spec, container))
    assert found.drafts, [str(note) for note in found.notes]
    return found.drafts[0]


def says(draft: Draft, kind: Kind, part: str) -> bool:
    return any(note.kind is kind and part in str(note) for note in draft.notes)


def test_a_cron_job_is_a_job() -> None:
    (draft,) = imported(WHOLE).drafts
    document = draft.document
    assert document["name"] == "nightly-report"
    assert document["namespace"] == "sales"
    assert document["labels"] == {"app": "report", "tier": "1"}
    assert document["enabled"] is False
    assert document["command"] == [
        "/bin/report", "--month", "12", "$(HOME)", "$(UNKNOWN)"
    ]  # fmt: skip
    assert document["environment"] == {"MONTH": "12", "LABEL": "m-12"}
    assert document["working_dir"] == "/data"
    assert document["schedule"] == {"cron": "30 2 * * 1-5"}
    assert document["timezone"] == "Europe/Berlin"
    assert document["overlap"] == "skip"
    assert document["catch_up"] == {"mode": "latest", "window": "600s"}
    assert document["timeout"] == "3600s"
    assert document["cancel"] == {"grace": "15s"}
    for kind, part in (
        (Kind.CHANGED, "image: registry.example.com/report:1.2 is not run"),
        (Kind.DROPPED, "TOKEN comes from secretKeyRef"),
        (Kind.DROPPED, "configMapRef settings"),
        (Kind.DROPPED, "JOB_NAME is set for every job"),
        (Kind.DROPPED, "successfulJobsHistoryLimit 3"),
        (Kind.DROPPED, "not carried over: nodeSelector, resources, serviceAccountName"),
        (Kind.CHANGED, "activeDeadlineSeconds 3600 was for all tries together"),
        (Kind.CHANGED, "clock changes"),
    ):
        assert says(draft, kind, part), part
    assert ("retry" in document) != says(draft, Kind.DROPPED, "backoffLimit 2")
    load_text(job_file(draft), origin="a.yaml")


def test_what_a_manifest_leaves_out_is_kubernetes_default() -> None:
    draft = only({"schedule": "@hourly"})
    assert draft.document["overlap"] == "allow"
    assert draft.document["catch_up"] == {"mode": "latest", "window": "1d"}
    assert draft.document["timeout"] == "1d"
    assert "enabled" not in draft.document
    assert says(draft, Kind.CHANGED, "the zone of the controller")
    # Six tries are the default, said or not.
    assert ("retry" in draft.document) != says(draft, Kind.DROPPED, "backoffLimit 6")


@pytest.mark.parametrize(
    ("schedule", "cron"),
    [
        ("0 0 */2 * 1", "0 0 1-31/2 * 1"),
        ("0 0 1 * */2", "0 0 1 * 0-6/2"),
        ("0 0 */2 * *", "0 0 */2 * *"),
        ("0 0 ? * 1", "0 0 ? * 1"),
        ("CRON_TZ=Asia/Tokyo 0 6 * * *", "0 6 * * *"),
        ("TZ=Asia/Tokyo 0 6 * * *", "0 6 * * *"),
        ("@every 90m", "@every 90m"),
    ],
)
def test_schedules_are_read_as_the_controller_reads_them(
    schedule: str, cron: str
) -> None:
    draft = only({"schedule": schedule})
    assert draft.document["schedule"] == {"cron": cron}
    if "Tokyo" in schedule:
        assert draft.document["timezone"] == "Asia/Tokyo"


def test_replace_is_carried_over_or_named() -> None:
    draft = only({"schedule": "@daily", "concurrencyPolicy": "Replace"})
    is_carried = draft.document["overlap"] == "replace"
    assert is_carried != says(draft, Kind.DROPPED, "concurrencyPolicy Replace")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            manifest({"schedule": "@daily"}, {"command": None}),
            "what the image i starts",
        ),
        (manifest({"schedule": "61 * * * *"}), "minute must be 0-59"),
        (manifest({"schedule": ""}), "schedule"),
        ("kind: Deployment\nmetadata: {name: web}\n", "Deployment is not a CronJob"),
        ("kind: [\n", "m.yaml:2"),
        ("kind: CronJob\n", "it has no container"),
    ],
)
def test_what_cannot_be_a_job_is_named(text: str, part: str) -> None:
    found = imported(text)
    assert not found.drafts
    assert any(n.kind is Kind.REFUSED and part in str(n) for n in found.notes)


def test_several_containers_are_not_one_command() -> None:
    pod = {"containers": [{"command": ["a"]}, {"command": ["b"]}]}
    spec = {"jobTemplate": {"spec": {"template": {"spec": pod}}}, "schedule": "@daily"}
    found = imported(json.dumps({"kind": "CronJob", "spec": spec}))
    assert "it has 2 containers" in str(found.notes[0])


def test_lists_and_several_documents_are_read() -> None:
    one = json.loads(manifest({"schedule": "@daily"}))
    text = json.dumps({"kind": "List", "items": [one, one]}) + "\n---\n" + WHOLE
    names = [draft.name for draft in imported(text).drafts]
    assert names == ["a", "a-2", "nightly-report"]

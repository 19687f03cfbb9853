"""Kubernetes CronJobs (batch/v1), as `kubectl get cronjob -o yaml` prints them.

The schedule is read as robfig/cron v3 reads it, which the controller uses. It differs
from Debian's in one rule: a step on a star (`*/2`) in a day column restricts it there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from jobs_grpc.client.importing.draft import (
    Draft,
    Imported,
    Kind,
    Note,
    Options,
    is_reserved,
)
from jobs_grpc.client.importing.naming import Names, slug

_ZONE: Final = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
_REFERENCE: Final = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")
# Kubernetes' own, where a manifest does not say.
_BACKOFF_LIMIT: Final = 6
_CONTAINER: Final = frozenset(
    ["name", "image", "command", "args", "env", "envFrom", "workingDir",
     "imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"]
)  # fmt: skip
_POD: Final = frozenset(
    ["containers", "restartPolicy", "dnsPolicy", "schedulerName",
     "terminationGracePeriodSeconds", "initContainers", "securityContext",
     "activeDeadlineSeconds"]
)  # fmt: skip
_JOB: Final = frozenset(
    ["template", "backoffLimit", "activeDeadlineSeconds", "completions", "parallelism",
     "ttlSecondsAfterFinished"]
)  # fmt: skip


class ManifestError(ValueError):
    """A CronJob of which no job can be made; the text says why."""


def import_manifests(
    text: str, *, origin: str, options: Options, names: Names
) -> Imported:
    """Return the jobs of all CronJobs in a file of YAML or JSON documents."""
    found = Imported()
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{origin}:{mark.line + 1}" if mark else origin
        reason = getattr(error, "problem", None) or "is not YAML"
        found.notes.append(Note(place, Kind.REFUSED, "file", str(reason)))
        return found
    for manifest in _manifests(documents):
        kind = str(manifest.get("kind"))
        metadata = _mapping(manifest.get("metadata"))
        place = f"{origin}: {metadata.get('name') or kind}"
        if kind != "CronJob":
            note = Note(place, Kind.REFUSED, "kind", f"{kind} is not a CronJob")
            found.notes.append(note)
            continue
        try:
            found.drafts.append(_CronJob(manifest, place, options).draft(names))
        except ManifestError as error:
            found.notes.append(Note(place, Kind.REFUSED, "CronJob", str(error)))
    return found


def _manifests(documents: list[Any]) -> Iterator[Mapping[str, Any]]:
    for document in documents:
        if not isinstance(document, dict):
            continue
        if isinstance(items := document.get("items"), list):
            yield from _manifests(items)
        else:
            yield document


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass(slots=True)
class _CronJob:
    manifest: Mapping[str, Any]
    place: str
    options: Options

    def draft(self, names: Names) -> Draft:
        metadata = _mapping(self.manifest.get("metadata"))
        spec = _mapping(self.manifest.get("spec"))
        job = _mapping(_mapping(spec.get("jobTemplate")).get("spec"))
        pod = _mapping(_mapping(job.get("template")).get("spec"))
        container = _container(pod)
        name = str(metadata.get("name") or container.get("name") or "cronjob")
        draft = Draft(document={"name": ""}, place=self.place, source=f"CronJob {name}")
        document = draft.document
        namespace = metadata.get("namespace") or self.options.namespace
        if namespace:
            document["namespace"] = str(namespace)
        document["labels"] = _labels(metadata)
        document["enabled"] = not spec.get("suspend", False)
        environment = _environment(draft, container)
        document["command"] = _command(container, environment)
        document["environment"] = environment
        document["working_dir"] = str(container.get("workingDir") or "")
        self._schedule(draft, spec)
        self._policies(draft, spec, job, pod)
        _note_rest(draft, spec, job, pod, container)
        document["name"] = names.take(slug(name))
        always = {"name", "overlap", "catch_up", "timeout"}
        draft.document = {
            key: value
            for key, value in document.items()
            if (value or key in always or value is False)
            and not (key == "enabled" and value)
        }
        return draft

    def _schedule(self, draft: Draft, spec: Mapping[str, Any]) -> None:
        text = str(spec.get("schedule") or "")
        zone = str(spec.get("timeZone") or "")
        if (prefixed := _ZONE.fullmatch(text)) is not None:
            zone, text = zone or prefixed[1], prefixed[2]
            draft.note(
                Kind.KEPT, "zone", f"the prefix of the schedule is the timezone {zone}"
            )
        if not zone:
            zone = self.options.timezone
            draft.note(
                Kind.CHANGED,
                "zone",
                "no timeZone: it is due in the zone of the controller, which is mostly"
                f" UTC; imported in {zone} (--timezone says another)",
            )
        rewritten = _debian(text)
        if rewritten != text:
            draft.note(
                Kind.KEPT,
                "days",
                f"{text!r} is written {rewritten!r}, so that either day is enough, as"
                " in Kubernetes",
            )
        if text.startswith("@every"):
            draft.note(
                Kind.CHANGED,
                "interval",
                f"{text} counts from the start of the controller; here the interval has"
                " a fixed grid",
            )
        elif zone not in {"UTC", "Etc/UTC"}:
            draft.note(
                Kind.CHANGED,
                "clock changes",
                "a fixed time in the hour that a clock change leaves out is never due in"
                " Kubernetes, and one in the repeated hour twice; here it is due once",
            )
        draft.document["schedule"] = {"cron": rewritten}
        draft.document["timezone"] = zone

    def _policies(
        self,
        draft: Draft,
        spec: Mapping[str, Any],
        job: Mapping[str, Any],
        pod: Mapping[str, Any],
    ) -> None:
        document = draft.document
        policy = str(spec.get("concurrencyPolicy") or "Allow")
        document["overlap"] = {"Allow": "allow"}.get(policy, "skip")
        if policy == "Replace":
            draft.offer(
                ("overlap",),
                "replace",
                "concurrencyPolicy Replace: the new one is skipped, the old one goes on",
            )
        deadline = spec.get("startingDeadlineSeconds")
        window = f"{deadline}s" if deadline else "1d"
        document["catch_up"] = {"mode": "latest", "window": window}
        if not deadline:
            draft.note(
                Kind.CHANGED,
                "missed times",
                "no startingDeadlineSeconds: Kubernetes starts the latest missed time"
                " unless a hundred were missed; here it does within a day",
            )
        limit = job.get("activeDeadlineSeconds") or pod.get("activeDeadlineSeconds")
        document["timeout"] = f"{limit}s" if limit else self.options.timeout
        if limit:
            draft.note(
                Kind.CHANGED,
                "time limit",
                f"activeDeadlineSeconds {limit} was for all tries together; here it is"
                " for each one",
            )
        else:
            draft.note(
                Kind.CHANGED,
                "time limit",
                f"it had none; every run is ended after {self.options.timeout}"
                " (--job-timeout says another)",
            )
        retries = job.get("backoffLimit", _BACKOFF_LIMIT)
        if retries:
            draft.offer(
                ("retry",),
                {
                    "max_retries": retries,
                    "backoff": "exponential",
                    "initial": "10s",
                    "factor": 2,
                    "max": "6m",
                },
                f"backoffLimit {retries}: a failed run is not tried again",
            )
        grace = pod.get("terminationGracePeriodSeconds")
        if isinstance(grace, int):
            document["cancel"] = {"grace": f"{grace}s"}


def _container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    containers = pod.get("containers")
    if not isinstance(containers, list) or not containers:
        raise ManifestError("it has no container")
    if len(containers) > 1 or pod.get("initContainers"):
        count = len(containers) + len(pod.get("initContainers") or [])
        raise ManifestError(
            f"it has {count} containers; a job is one command: divide it first"
        )
    return _mapping(containers[0])


def _command(container: Mapping[str, Any], environment: Mapping[str, str]) -> list[str]:
    command = container.get("command")
    if not command:
        raise ManifestError(
            f"it runs what the image {container.get('image')} starts by itself, which"
            " the manifest does not say: give it a command"
        )
    if not isinstance(command, list):
        raise ManifestError("its command is no list")
    args = container.get("args") or []
    return [_referenced(str(word), environment) for word in [*command, *args]]


def _referenced(text: str, environment: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the container's own variables; `$$` is a plain `$`."""

    def value(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return environment.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def _environment(draft: Draft, container: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in container.get("env") or []:
        name = str(_mapping(entry).get("name"))
        if "valueFrom" in entry:
            source = ", ".join(_mapping(entry["valueFrom"])) or "elsewhere"
            draft.note(
                Kind.DROPPED,
                "environment",
                f"{name} comes from {source}: give it under environment",
            )
        elif is_reserved(name):
            draft.note(Kind.DROPPED, "environment", f"{name} is set for every job")
        else:
            found[name] = _referenced(str(entry.get("value") or ""), found)
    for entry in container.get("envFrom") or []:
        kind = next(
            (key for key in _mapping(entry) if key.endswith("Ref")), "elsewhere"
        )
        name = _mapping(_mapping(entry).get(kind)).get("name", "")
        draft.note(
            Kind.DROPPED,
            "environment",
            f"the variables of {kind} {name}: give them under environment",
        )
    return found


def _labels(metadata: Mapping[str, Any]) -> dict[str, str]:
    labels = _mapping(metadata.get("labels"))
    return {str(key): str(value) for key, value in labels.items()}


def _debian(text: str) -> str:
    """Rewrite what robfig/cron reads in another way than Debian's cron."""
    columns = text.split()
    if len(columns) != 5:
        return text
    day, weekday = columns[2], columns[4]
    if day in {"*", "?"} or weekday in {"*", "?"}:
        return text
    columns[2] = _plain_steps(day, "1-31")
    columns[4] = _plain_steps(weekday, "0-6")
    changed = columns[2] != day or columns[4] != weekday
    return " ".join(columns) if changed else text


def _plain_steps(column: str, whole: str) -> str:
    return ",".join(
        f"{whole}{term[1:]}" if term.startswith(("*/", "?/")) else term
        for term in column.split(",")
    )


def _note_rest(
    draft: Draft,
    spec: Mapping[str, Any],
    job: Mapping[str, Any],
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
) -> None:
    draft.note(
        Kind.CHANGED,
        "image",
        f"{container.get('image')} is not run: the command runs on a worker's host, with"
        " what is installed there",
    )
    for key in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        if key in spec:
            draft.note(
                Kind.DROPPED,
                "history",
                f"{key} {spec[key]}: history is kept by age and not by number",
            )
    if "ttlSecondsAfterFinished" in job:
        draft.offer(
            ("retention",),
            {"executions": f"{job['ttlSecondsAfterFinished']}s"},
            "ttlSecondsAfterFinished: executions are kept",
        )
    for key in ("completions", "parallelism"):
        if job.get(key, 1) != 1:
            draft.note(
                Kind.CHANGED, key, f"{key} {job[key]}: one execution runs it once"
            )
    user = _mapping(container.get("securityContext")).get("runAsUser") or _mapping(
        pod.get("securityContext")
    ).get("runAsUser")
    if user is not None:
        draft.note(
            Kind.DROPPED, "user", f"runAsUser {user}: it runs as the worker's user"
        )
    lost = sorted(
        [key for key in container if key not in _CONTAINER]
        + [key for key in pod if key not in _POD]
        + [key for key in job if key not in _JOB]
    )
    if lost:
        draft.note(Kind.DROPPED, "pod", f"not carried over: {', '.join(lost)}")

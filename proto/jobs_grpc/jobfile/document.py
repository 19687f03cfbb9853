"""The job document: one job as its author describes it.

`JobDocument` is the only description of the job file. The readers of JSON, YAML and
TOML fill it, the JSON Schema for editors is made from it, and the server validates what
it is sent with it, so what passes offline passes the server.

Three rules hold for every key:

1. Nothing is silently ignored. A key that is unknown, misplaced or not built yet is
   refused.
2. Nothing is guessed. Text is not turned into numbers or switches, nor the other way:
   `no` is not false, and 0755 is not "0755".
3. Two documents that mean the same have the same canonical form, whatever spelling
   their authors chose. The canonical form is itself a job document.

A document is frozen; to change one, validate a changed canonical form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

from pydantic import ModelWrapValidatorHandler, ValidationInfo, model_validator
from pydantic_core import ValidationError

from jobs_grpc.jobfile.keys import Delivery, JobKeys
from jobs_grpc.jobfile.parameter import parameter_values
from jobs_grpc.jobfile.part.body import body_complaints, implied_type
from jobs_grpc.jobfile.part.breaker import Breaker
from jobs_grpc.jobfile.part.complaint import Complaint, complaints, joined
from jobs_grpc.jobfile.part.dependencies import SCHEDULE_NAME
from jobs_grpc.jobfile.part.names import STANDALONE
from jobs_grpc.jobfile.part.part import plain, stated
from jobs_grpc.jobfile.part.quantity import microseconds, size_bytes
from jobs_grpc.jobfile.part.timing import (
    as_written,
    calendars_of,
    entry_path,
    parse_entries,
    repeated_schedules,
    zone_fault,
)
from jobs_grpc.schedule import ParsedSchedule

LARGEST_DOCUMENT = 256 * 1024
"""Bytes of a canonical document; larger scripts belong into files on the workers."""

# A fallback function runs where and as long as its job may.
_KEPT_BY_FALLBACK = (
    "name",
    "namespace",
    "workspace",
    "labels",
    "params",
    "variables",
    "queue",
    "priority",
    "timeout",
    "cancel",
    "limits",
    "targets",
)

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class JobDocument(JobKeys):
    """A valid job.

    The keys of the file are its attributes; durations, sizes and schedules are there as
    text, and as numbers and rules under names of their own (`timeout_us`, `schedules`).
    """

    @model_validator(mode="wrap")
    @classmethod
    def _whole(
        cls, value: Any, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Check what lies between the keys, together with the keys themselves."""
        if not isinstance(value, Mapping):
            return validate(value)
        found = body_complaints(value)
        known = {}
        for key, given in value.items():
            if given is None and key in cls.model_fields and key != "name":
                message = "has no value; leave the key out for its default"
                found.append(Complaint((key,), message))
            else:
                known[key] = given
        if "type" not in known and (kind := implied_type(known)):
            known["type"] = kind
        try:
            document = validate(known)
        except ValidationError as error:
            found += _schedule_complaints(known)
            raise joined(error, found) if found else error from None
        if isinstance(info.context, str):
            document.__dict__["_canonical"] = info.context
        found += document._settle(known)
        if found:
            raise complaints(found)
        return document

    def _settle(self, raw: Mapping[str, Any]) -> list[Complaint]:
        """Bring the document into its one form; return what does not fit together."""
        values = self.__dict__
        found: list[Complaint] = []
        if self.tags:
            found += self._merge_tags()
        if self.variables and self.workspace == STANDALONE:
            message = "are those of a workspace, and the job is in none"
            found.append(Complaint(("variables",), message))
        if self.retry is not None and self.retry.limit == 0:
            values["retry"] = None
        if self.retry is not None and "lost" in self.retry.on:
            found += self._lost_twice()
        if self.timeouts is not None and self.timeouts.silence and self.function:
            message = "is not for function jobs, whose output is not watched"
            found.append(Complaint(("timeouts", "silence"), message))
        if self.timeouts is not None and not stated(self.timeouts):
            values["timeouts"] = None
        if self.fallback is not None and self.fallback.job == self.name:
            message = "is the job itself; name another one, or use `retry`"
            found.append(Complaint(("fallback", "job"), message))
        if self.delivery == self._implied_delivery:
            values["delivery"] = None
        if self.schedule:
            found += self._settle_schedules(raw.get("schedule"))
        if self.depends_on:
            found += self._check_dependencies(raw.get("schedule"))
        size = len(self.canonical_json().encode()) if not found else 0
        if size > LARGEST_DOCUMENT:
            found.append(
                Complaint((), f"a definition is at most 256 KiB, got {size} bytes")
            )
        return found

    def _lost_twice(self) -> list[Complaint]:
        if self.delivery != "at_most_once":
            return []
        message = "tries lost runs again, which at_most_once forbids"
        return [Complaint(("retry", "on"), message)]

    def _settle_schedules(self, written: object) -> list[Complaint]:
        parsed, found = parse_entries(
            written,
            timezone=self.timezone,
            seed=self.seed,
            calendars=calendars_of(self.calendars),
        )
        if found:
            return found
        self.__dict__["schedules"] = parsed
        self.__dict__["schedule"] = as_written(parsed)
        for index in repeated_schedules(parsed):
            path = (*entry_path(written, index), "name")
            found.append(Complaint(path, "is also the name of an earlier schedule"))
        for index, schedule in enumerate(parsed):
            if not (self.params or schedule.params):
                continue
            _, faults = parameter_values(self.params, schedule.params)
            found += [
                Complaint(
                    (*entry_path(written, index), "params", name),
                    f"the parameter {fault}",
                )
                for name, fault in faults.items()
            ]
        return found

    def _check_dependencies(self, written: object) -> list[Complaint]:
        found = []
        if self.name in self.dependencies:
            message = f"is the job itself: {self.name} -> {self.name}"
            found.append(Complaint(("depends_on",), message))
        for index, schedule in enumerate(self.schedules):
            if schedule.name == SCHEDULE_NAME:
                path = (*entry_path(written, index), "name")
                message = "is what the schedule of the key depends_on is called"
                found.append(Complaint(path, message))
        _, faults = parameter_values(self.params, {})
        for name, fault in faults.items():
            message = f"starts runs without parameters, and {name} {fault}"
            found.append(Complaint(("depends_on",), message))
        return found

    def _merge_tags(self) -> list[Complaint]:
        found = [
            Complaint(("tags",), f'"{tag}" is also a label with another value')
            for tag, value in self.tags.items()
            if self.labels.get(tag, value) != value
        ]
        self.__dict__["labels"] = {**self.tags, **self.labels}
        self.__dict__["tags"] = {}
        self.model_fields_set.add("labels")
        return found

    @property
    def seed(self) -> str:
        """The full name of the job, from which its schedules draw their spread."""
        return f"{self.namespace}/{self.workspace}/{self.name}"

    @cached_property
    def schedules(self) -> tuple[ParsedSchedule, ...]:
        """What the schedules mean, in the order of the file."""
        return ()

    @property
    def breakers(self) -> tuple[Breaker, ...]:
        """The circuit breakers that runs of the job have to pass."""
        assert isinstance(self.breaker, tuple)
        return self.breaker

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The jobs of the workspace after whose success the job runs."""
        assert isinstance(self.depends_on, tuple)
        return self.depends_on

    @property
    def timeout_us(self) -> int:
        """The longest run time of one attempt, in microseconds."""
        return microseconds(self.timeout)

    @property
    def grace_us(self) -> int:
        """The time between the cancel signal and the kill, in microseconds."""
        return microseconds(self.cancel.grace)

    @property
    def output_limit_bytes(self) -> int:
        """How much output is stored of one attempt."""
        return size_bytes(self.limits.output)

    @property
    def effective_delivery(self) -> Delivery:
        """What happens to a run whose worker vanished, after all defaults."""
        return self.delivery or self._implied_delivery

    @property
    def _implied_delivery(self) -> Delivery:
        is_tried_again = self.retry is not None and "lost" in self.retry.causes
        twice = self.idempotent or is_tried_again
        return "at_least_once" if twice else "at_most_once"

    def fallback_document(self) -> JobDocument:
        """Return the function that is the fallback, as a job of its own."""
        assert self.fallback is not None
        form = self.canonical()
        kept = {key: form[key] for key in _KEPT_BY_FALLBACK if key in form}
        return JobDocument.model_validate(
            {**kept, "type": "function", "function": self.fallback.function}
        )

    def canonical(self) -> dict[str, object]:
        """Return the one JSON form of the document: only what differs from defaults."""
        form = {"name": self.name, "type": self.type, **stated(self)}
        if self.schedule:
            one = len(self.schedule) == 1
            form["schedule"] = plain(self.schedule[0] if one else self.schedule)
        if len(self.dependencies) == 1:
            form["depends_on"] = self.dependencies[0]
        if len(self.breakers) == 1:
            form["breaker"] = plain(self.breakers[0])
        return form

    def canonical_json(self) -> str:
        """Return the canonical form as compact JSON; equal for equal documents."""
        return self._canonical

    @cached_property
    def _canonical(self) -> str:
        return _COMPACT.encode(self.canonical())

    @classmethod
    def from_canonical(cls, text: str) -> Self:
        """Return the document of a text that `canonical_json` has made."""
        return cls.model_validate_json(text, context=text)


def _schedule_complaints(raw: Mapping[object, object]) -> list[Complaint]:
    """Return what is wrong with the schedules of a document that is wrong elsewhere."""
    if "schedule" not in raw:
        return []
    # A wrong zone is reported once, at its own key.
    timezone = raw.get("timezone", "UTC")
    zone = "UTC" if zone_fault(timezone) is not None else str(timezone)
    calendars = calendars_of(raw.get("calendars") or {})
    if calendars is None:
        return []  # what is wrong with them comes first
    return parse_entries(raw["schedule"], timezone=zone, seed="", calendars=calendars)[
        1
    ]

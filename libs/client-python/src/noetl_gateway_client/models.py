"""What comes from the gateway. The fields are those of docs/api/asyncapi.yaml, in snake case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["connecting", "live", "reconnecting", "offline", "expired", "closed"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A message of the stream: `method` is playbook/result, playbook/progress, playbook/state, gap, and so on."""

    method: str
    params: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    request_id: str
    execution_id: str
    step: str
    message: str
    progress: float
    """0 to 1."""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Progress:
        return cls(
            str(params.get("requestId", "")),
            str(params.get("executionId", "")),
            str(params.get("step", "")),
            str(params.get("message", "")),
            float(params.get("progress", 0)),
        )


@dataclass(frozen=True, slots=True)
class PlaybookState:
    """A lifecycle event of an execution."""

    execution_id: str
    event_type: str
    step_name: str | None
    status: str
    at: str
    """RFC 3339, with a zone."""

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> PlaybookState:
        step = params.get("step_name")
        return cls(
            str(params.get("execution_id", "")),
            str(params.get("event_type", "")),
            step if isinstance(step, str) else None,
            str(params.get("status", "")),
            str(params.get("at", "")),
        )

    @property
    def over(self) -> bool:
        """Whether it is the execution's last."""
        return self.event_type in ("playbook.completed", "playbook.failed", "playbook.cancelled")


@dataclass(frozen=True, slots=True)
class DocumentEvent:
    """A change of a document.

    `op` is added, modified or removed; or reset: changes were lost, forget what you know, all documents come again.
    """

    subscription_id: str
    doc_id: str
    op: Literal["added", "modified", "removed", "reset"]
    data: Any = None
    update_time: str | None = None
    too_large: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> DocumentEvent:
        op = params.get("op")
        time = params.get("update_time")
        return cls(
            str(params.get("subscription_id", "")),
            str(params.get("doc_id", "")),
            op if op in ("added", "removed") else "modified",
            params.get("data"),
            time if isinstance(time, str) else None,
            params.get("too_large") is True,
        )


@dataclass(frozen=True, slots=True)
class PendingRequest:
    request_id: str
    execution_id: str
    """Empty while it starts."""
    playbook_path: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> PendingRequest:
        return cls(
            str(entry.get("requestId", "")), str(entry.get("executionId", "")), str(entry.get("playbookPath", ""))
        )


@dataclass(frozen=True, slots=True)
class Capabilities:
    subscriptions: bool = False
    subscription_sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Execution:
    execution_id: str
    status: str | None
    path: str | None
    completed: bool
    """It is over and has not failed; a cancelled one counts."""
    failed: bool
    result: Any = None
    error: Any = None

    @property
    def over(self) -> bool:
        return self.completed or self.failed

    @property
    def cancelled(self) -> bool:
        return (self.status or "").upper() in ("CANCELLED", "CANCELED")

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Execution:
        status, path = fields.get("status"), fields.get("path")
        return cls(
            str(fields.get("executionId", "")),
            status if isinstance(status, str) else None,
            path if isinstance(path, str) else None,
            fields.get("completed") is True,
            fields.get("failed") is True,
            fields.get("result"),
            fields.get("error"),
        )

"""What can go wrong, by type. `code` is the gateway's stable word for it, such as `execute_denied`."""

from __future__ import annotations

from typing import Any, Protocol

import httpx

from ._retry import retry_after


class GatewayError(Exception):
    """Any failure that the gateway, NoETL or the way to them told of."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "error",
        status: int = 0,
        request_id: str | None = None,
        execution_id: str | None = None,
        data: Any = None,
        wait: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        """The status of HTTP that fits, also where the failure came in a frame or from GraphQL; 0 for none."""
        self.request_id = request_id
        self.execution_id = execution_id
        self.data = data
        self.wait = wait
        """How many seconds the gateway asked to wait (Retry-After), 0 if it did not."""


class RunFailedError(GatewayError):
    """The playbook failed, or was cancelled: then `code` is `cancelled`."""


class DeniedError(GatewayError):
    """The user may not do this."""


class ExpiredError(GatewayError):
    """The session has ended, and was not renewed."""


class UnavailableError(GatewayError):
    """The gateway or NoETL does not answer, or says that it cannot now."""


class RunTimeoutError(GatewayError):
    """The run took longer than its timeout. Its execution was cancelled."""


_STATUS = {
    "BAD_USER_INPUT": 400,
    "GRAPHQL_PARSE_FAILED": 400,
    "GRAPHQL_VALIDATION_FAILED": 400,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "TOO_SLOW": 408,
    "CONFLICT": 409,
    "TOO_LARGE": 413,
    "UNSUPPORTED": 415,
    "RATE_LIMITED": 429,
    "CANCELED": 499,
    "INTERNAL": 500,
    "BAD_GATEWAY": 502,
    "UNAVAILABLE": 503,
    "TIMEOUT": 504,
}


def type_of(status: int) -> type[GatewayError]:
    if status == 401:
        return ExpiredError
    if status == 403:
        return DeniedError
    return UnavailableError if status in (502, 503, 504) else GatewayError


def of_response(response: httpx.Response) -> GatewayError:
    """The error in an answer of HTTP; its body must have been read."""
    try:
        body = response.json()
    except ValueError:
        body = None
    fields = body if isinstance(body, dict) else {}
    text = fields.get("error") or fields.get("detail") or fields.get("message")
    message = text if isinstance(text, str) and text else f"the gateway answered {response.status_code}"
    code = fields.get("code")
    return type_of(response.status_code)(
        message,
        code=code if isinstance(code, str) else f"http_{response.status_code}",
        status=response.status_code,
        data=body,
        wait=retry_after(response.headers.get("Retry-After")),
    )


def of_graphql(errors: Any) -> GatewayError:
    """The first of the errors of a GraphQL answer."""
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    extensions = first.get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    kind = str(extensions.get("code", "INTERNAL"))
    status = _STATUS.get(kind, 500)
    return type_of(status)(
        str(first.get("message", "the operation failed")),
        code=str(extensions.get("reason", kind.lower())),
        status=status,
        data=errors,
        wait=retry_after(str(extensions.get("retryAfter", ""))),
    )


# The kinds of failure that the contract gives a number (section 5); any other is the playbook's.
_KINDS: dict[int, tuple[type[GatewayError], str, int]] = {
    -32001: (RunTimeoutError, "timeout", 504),
    -32002: (ExpiredError, "session_expired", 401),
    -32003: (DeniedError, "denied", 403),
}


def of_frame(params: Any, request_id: str | None, execution_id: str | None) -> GatewayError:
    """The error of a playbook/result."""
    error = params.get("error")
    fields = error if isinstance(error, dict) else {}
    data = fields.get("data")
    reason = data.get("code") if isinstance(data, dict) else None
    number = fields.get("code")
    failed = str(params.get("status")).upper() == "FAILED"
    kind, word, status = _KINDS.get(
        number if isinstance(number, int) else 0, (RunFailedError if failed else GatewayError, "playbook_failed", 0)
    )
    return kind(
        str(fields.get("message") or "the playbook failed"),
        code=reason if isinstance(reason, str) else word,
        status=status,
        request_id=request_id,
        execution_id=execution_id,
        data=data,
    )


class _Known(Protocol):
    @property
    def request_id(self) -> str: ...

    @property
    def execution_id(self) -> str | None: ...


def copy(error: GatewayError, run: _Known | None) -> GatewayError:
    """An error of its own for each run: one instance would collect the tracebacks of all."""
    return type(error)(
        str(error),
        code=error.code,
        status=error.status,
        request_id=run.request_id if run else error.request_id,
        execution_id=run.execution_id if run else error.execution_id,
        data=error.data,
        wait=error.wait,
    )

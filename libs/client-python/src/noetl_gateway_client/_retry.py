"""How long to wait before the next try."""

from __future__ import annotations

import email.utils
import random
import time

CAP = 30.0
LONGEST = 300.0  # nothing that a server says makes a client sleep for longer


def backoff(attempt: int, base: float = 0.5) -> float:
    """Seconds before try number attempt, from 0: exponential, capped, half of it random.

    The random half keeps the clients of a gateway that restarts from coming back in one moment.
    """
    full: float = min(CAP, base * 2.0 ** min(attempt, 16))
    return full / 2 + random.random() * full / 2


def retry_after(value: str | None) -> float:
    """Seconds of a header Retry-After: a number or a date (RFC 9110, section 10.2.3); 0 for none."""
    if not value:
        return 0.0
    try:
        seconds = float(int(value))
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), LONGEST)

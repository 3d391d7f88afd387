"""Client of the NoETL gateway. See Gateway, and SyncGateway for programs without asyncio."""

from .errors import (
    DeniedError,
    ExpiredError,
    GatewayError,
    RunFailedError,
    RunTimeoutError,
    UnavailableError,
)
from .gateway import Gateway
from .models import (
    Capabilities,
    DocumentEvent,
    Execution,
    Frame,
    PendingRequest,
    PlaybookState,
    Progress,
    State,
)
from .run import Run
from .subscription import Subscription
from .sync import SyncGateway, SyncRun, SyncSubscription

__all__ = [
    "Capabilities",
    "DeniedError",
    "DocumentEvent",
    "Execution",
    "ExpiredError",
    "Frame",
    "Gateway",
    "GatewayError",
    "PendingRequest",
    "PlaybookState",
    "Progress",
    "Run",
    "RunFailedError",
    "RunTimeoutError",
    "State",
    "Subscription",
    "SyncGateway",
    "SyncRun",
    "SyncSubscription",
    "UnavailableError",
]

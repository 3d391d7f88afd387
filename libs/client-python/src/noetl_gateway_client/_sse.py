"""Server-sent events, read from chunks of bytes.

httpx's aiter_lines is not used: it also splits at U+2028 and other characters that JSON may hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_END = re.compile(rb"\r\n|\n|\r")
LARGEST = 64 << 20  # an event beyond this is no frame of a gateway: its memory is not ours to give


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    data: str
    id: str | None


class Parser:
    """Splits a stream into events. Each has the id that stands in it, and none that stood in one before."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seen = 0  # how much of the buffer holds no end of a line
        self._size = 0
        self._clear()

    def _clear(self) -> None:
        self._name = "message"
        self._data: list[str] = []
        self._id: str | None = None
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that end in this chunk."""
        self._buffer += chunk
        start = 0
        while (found := _END.search(self._buffer, max(start, self._seen))) is not None:
            if found.group() == b"\r" and found.end() == len(self._buffer):
                break  # the other half of \r\n may follow
            line = bytes(self._buffer[start : found.start()])
            start = self._seen = found.end()
            event = self._line(line)
            if event is not None:
                yield event
        del self._buffer[:start]
        self._seen = max(0, len(self._buffer) - 1)
        if len(self._buffer) + self._size > LARGEST:
            raise ValueError("an event of the stream is too large")

    def _line(self, line: bytes) -> Event | None:
        if not line:
            data, name, event_id = "\n".join(self._data), self._name, self._id
            empty = not self._data
            self._clear()
            return None if empty else Event(name, data, event_id)
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"data":
            self._data.append(text)
            self._size += len(line)
        elif field == b"event":
            self._name = text or "message"
        elif field == b"id" and "\0" not in text:
            self._id = text
        return None

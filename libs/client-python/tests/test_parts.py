from __future__ import annotations

import email.utils
import time
import unittest

from noetl_gateway_client import _retry
from noetl_gateway_client._sse import Event, Parser


class EventStreams(unittest.TestCase):
    STREAM = (
        "\ufeff: hello\r\n\r\nid: a-1\nevent: playbook/result\ndata: {\"x\":\"\u2028\u0085é\"}\n\n"
        "data: two\rdata:lines\r\rid: b\n\nevent: ping\ndata: {}\r\n\r\n"
    ).encode()
    EVENTS = [
        Event("playbook/result", '{"x":"\u2028\u0085é"}', "a-1"),
        Event("message", "two\nlines", None),
        Event("ping", "{}", None),
    ]

    def test_any_chunks_give_the_same_events(self) -> None:
        for size in range(1, len(self.STREAM) + 1):
            parser = Parser()
            got = [
                event
                for at in range(0, len(self.STREAM), size)
                for event in parser.feed(self.STREAM[at : at + size])
            ]
            self.assertEqual(got, self.EVENTS, f"chunks of {size}")

    def test_a_large_event_costs_time_in_proportion(self) -> None:
        data = b"data: " + b"x" * (8 << 20) + b"\n\n"
        parser = Parser()
        began = time.process_time()
        got = [e for at in range(0, len(data), 4096) for e in parser.feed(data[at : at + 4096])]
        self.assertEqual(len(got[0].data), 8 << 20)
        self.assertLess(time.process_time() - began, 10, "2,000 chunks of a line must not be searched each time")

    def test_an_event_without_an_end_is_refused(self) -> None:
        parser = Parser()
        with self.assertRaises(ValueError):
            for _ in range(80):
                for _ in parser.feed(b"data: " + b"x" * (1 << 20)):
                    pass


class Waits(unittest.TestCase):
    def test_backoff_grows_to_its_cap_and_is_half_random(self) -> None:
        for attempt, full in ((0, 0.5), (1, 1.0), (3, 4.0), (10, 30.0), (1000, 30.0)):
            waits = [_retry.backoff(attempt) for _ in range(200)]
            self.assertTrue(all(full / 2 <= w <= full for w in waits), attempt)
            self.assertGreater(max(waits) - min(waits), full / 10)

    def test_retry_after(self) -> None:
        for value, want in ((None, 0), ("", 0), ("7", 7), ("-1", 0), ("soon", 0), ("99999", 300)):
            self.assertEqual(_retry.retry_after(value), want, value)
        self.assertAlmostEqual(_retry.retry_after(email.utils.formatdate(time.time() + 60, usegmt=True)), 60, delta=5)


if __name__ == "__main__":
    unittest.main()

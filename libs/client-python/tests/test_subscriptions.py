from __future__ import annotations

import asyncio
import unittest
from typing import Any
from unittest import mock

import httpx

from fake import FakeGateway
from noetl_gateway_client import DeniedError, DocumentEvent, Gateway, Subscription


class Subscriptions(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        self.there = FakeGateway()
        patch = mock.patch("noetl_gateway_client._retry.CAP", 0.05)
        patch.start()
        self.addCleanup(patch.stop)

    def gateway(self) -> Gateway:
        return Gateway("http://gateway.test", session="token-1", http_client=self.there.client_of())

    async def next(self, subscription: Subscription[Any]) -> Any:
        async with asyncio.timeout(30):
            return await anext(subscription)

    async def test_a_change_before_the_answer(self) -> None:
        self.there.on_subscribe = lambda s: self.there.document(s, "early", "added")
        async with self.gateway() as gateway:
            async with gateway.subscribe("boards/1/cards") as cards:
                event = await self.next(cards)
                want = DocumentEvent(await cards.id, "early", "added", {"n": 1})
                self.assertEqual(event, want)
            self.assertEqual(self.there.subscriptions, {}, "it was closed")
            self.assertEqual([e async for e in cards], [])

    async def test_a_gap_begins_again(self) -> None:
        async with self.gateway() as gateway:
            cards = gateway.subscribe("boards/1/cards", source="kv")
            first = await cards.id
            self.there.document(first, "a", "added")
            self.assertEqual((await self.next(cards)).op, "added")
            self.there.gap = True
            self.there.cut()
            self.assertEqual((await self.next(cards)).op, "reset")
            second = cards.current
            self.assertNotEqual(second, first)
            self.there.document(first, "old", "added")
            self.there.document(str(second), "a", "added")
            self.assertEqual((await self.next(cards)).doc_id, "a")

    async def test_a_lost_answer_opens_no_second_one(self) -> None:
        answers: list[Any] = [httpx.ReadError("cut"), None]
        self.there.on_subscribe = lambda _: answers.pop(0)
        async with self.gateway() as gateway:
            cards = gateway.subscribe("boards/1/cards")
            self.assertEqual([await cards.id], list(self.there.subscriptions))
            self.assertEqual(len(answers), 1)

    async def test_how_it_ends(self) -> None:
        async with self.gateway() as gateway:
            for reason in ("session", "expired", "denied"):
                cards = gateway.subscribe("boards/1/cards")
                first = await cards.id
                self.there.send("subscription/ended", {"subscription_id": first, "reason": reason})
                if reason == "denied":
                    with self.assertRaises(DeniedError):
                        await self.next(cards)
                else:
                    self.assertEqual((await self.next(cards)).op, "reset")
                    self.assertNotEqual(cards.current, first)
                await cards.close()

    async def test_following_ends_with_the_execution(self) -> None:
        async with self.gateway() as gateway:
            states = gateway.follow("7")
            name = await states.id
            for doc, kind in (("1", "step.enter"), ("1", "step.enter"), ("2", "playbook.completed")):
                data = {"execution_id": "7", "event_type": kind, "step_name": None, "status": "x", "at": "y"}
                self.there.send(
                    "subscription/event", {"subscription_id": name, "doc_id": doc, "data": data, "op": "added"}
                )
            self.assertEqual([s.event_type async for s in states], ["step.enter", "playbook.completed"])


if __name__ == "__main__":
    unittest.main()

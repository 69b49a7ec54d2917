"""Look-ups made together: in how many statements, and what each caller hears."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from billing.kit import patience
from billing.kit.gathering import Gathered, GatheredTimeout


class Shelf:
    """Squares by number, looked up in batches that can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.begun = asyncio.Event()
        self.failure: Exception | None = None

    async def look_up(self, keys: Sequence[int]) -> dict[int, int]:
        self.batches.append(list(keys))
        self.begun.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return {key: key * key for key in keys if key >= 0}


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class TestGathered:
    async def test_asks_for_all_who_came_meanwhile_in_one_look_up(self, shelf: Shelf):
        gathered = Gathered(shelf.look_up, limit_s=5)
        shelf.open.clear()
        first = asyncio.create_task(gathered.get(1))
        await settle()
        rest = [asyncio.create_task(gathered.get(number)) for number in (2, 3, 2, -1)]
        await settle()
        assert shelf.batches == [[1]]
        shelf.open.set()
        assert await first == 1
        assert await asyncio.gather(*rest) == [4, 9, 4, None]
        assert shelf.batches == [[1], [2, 3, -1]]

    async def test_begins_a_look_up_after_its_caller_came(self, shelf: Shelf):
        gathered = Gathered(shelf.look_up, limit_s=5)
        shelf.open.clear()
        first = asyncio.create_task(gathered.get(1))
        await settle()
        second = asyncio.create_task(gathered.get(1))
        await settle()
        shelf.open.set()
        assert await asyncio.gather(first, second) == [1, 1]
        assert shelf.batches == [[1], [1]]

    async def test_opens_another_lane_for_those_who_wait_for_a_slow_one(self, shelf: Shelf):
        """The second look-up begins fast and hangs: who came before that is not forgotten behind it."""
        gathered = Gathered(shelf.look_up, limit_s=5, lanes=2)
        shelf.open.clear()
        first = asyncio.create_task(gathered.get(1))
        await settle()
        second = asyncio.create_task(gathered.get(2))
        await settle()
        shelf.open.set()
        await first
        shelf.open.clear()
        await settle()
        shelf.begun.clear()
        third = asyncio.create_task(gathered.get(3))
        await asyncio.wait_for(shelf.begun.wait(), 5)
        assert shelf.batches == [[1], [2], [3]]
        shelf.open.set()
        assert await asyncio.gather(second, third) == [4, 9]

    async def test_works_for_an_owner_in_one_lane_at_a_time(self, shelf: Shelf):
        """Keys of one tens digit are one owner's: 12 waits for 11, however long, and 21 does not."""
        gathered = Gathered(shelf.look_up, limit_s=5, lanes=3, owner=lambda key: key // 10)
        shelf.open.clear()
        first = asyncio.create_task(gathered.get(11))
        await settle()
        shelf.begun.clear()
        rest = [asyncio.create_task(gathered.get(number)) for number in (12, 21)]
        await asyncio.wait_for(shelf.begun.wait(), 5)
        assert shelf.batches == [[11], [21]]
        rest.append(asyncio.create_task(gathered.get(22)))
        await asyncio.sleep(0.05)
        assert shelf.batches == [[11], [21]]
        shelf.open.set()
        assert await asyncio.gather(first, *rest) == [121, 144, 441, 484]
        assert sorted(number for batch in shelf.batches[2:] for number in batch) == [12, 22]

    async def test_tells_each_caller_of_a_failure_and_goes_on(self, shelf: Shelf):
        gathered = Gathered(shelf.look_up, limit_s=5)
        shelf.failure = ConnectionResetError("gone")
        found = await asyncio.gather(gathered.get(1), gathered.get(2), return_exceptions=True)
        assert [type(one) for one in found] == [ConnectionResetError, ConnectionResetError]
        shelf.failure = None
        assert await gathered.get(3) == 9

    async def test_gives_up_a_look_up_that_hangs(self, shelf: Shelf):
        gathered = Gathered(shelf.look_up, limit_s=0.01)
        shelf.open.clear()
        with pytest.raises(GatheredTimeout):
            await gathered.get(1)
        shelf.open.set()
        assert await gathered.get(2) == 4

    async def test_does_not_mind_callers_that_leave(self, shelf: Shelf):
        gathered = Gathered(shelf.look_up, limit_s=5)
        shelf.open.clear()
        leaving, staying = asyncio.create_task(gathered.get(1)), asyncio.create_task(gathered.get(1))
        await settle()
        leaving.cancel()
        shelf.open.set()
        assert await staying == 1
        assert leaving.cancelled() or leaving.cancelling()

    async def test_is_waited_for_as_long_as_the_call_has_patience(self, shelf: Shelf):
        """Both who asks and who came while another look-up was under way; what was asked for them is done all the same."""
        gathered = Gathered(shelf.look_up, limit_s=5)
        shelf.open.clear()
        with patience.within(0.02):
            asked = await asyncio.gather(gathered.get(1), gathered.get(2), return_exceptions=True)
            assert [type(one) for one in asked] == [GatheredTimeout, GatheredTimeout]
            with pytest.raises(GatheredTimeout):
                await gathered.get(3)
        shelf.open.set()
        assert await gathered.get(4) == 16
        assert shelf.batches == [[1, 2], [3, 4]]

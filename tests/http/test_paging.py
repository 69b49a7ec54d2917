"""Parts of a list through a real server: pages, cursors, and what links them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import httpx2
import pytest
import pytest_asyncio

from billing.core.errors import InvalidParameter
from billing.core.page import KeyValue, PageRequest, write_key
from billing.kit.db import Database, open_pool
from billing.kit.web.paging import link_header, meta, read_cursor, write_cursor
from tests.support.sample_api import make_app, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_OURS = "is not a cursor of this list with these filters; begin again with an empty one"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(module_dsn: str) -> AsyncIterator[httpx2.AsyncClient]:
    pool = await open_pool(module_dsn, size=4)
    async with served(make_app(Database(pool))) as opened:
        yield opened
    await pool.close()


async def ask(client: httpx2.AsyncClient, query: str, *, key: str = "ls_test_one") -> httpx2.Response:
    return await client.get(f"/v1/things?{query}", headers={"Authorization": f"Bearer {key}"})


async def read(client: httpx2.AsyncClient, query: str) -> dict[str, Any]:
    answer = await ask(client, query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def faults(client: httpx2.AsyncClient, query: str, *, key: str = "ls_test_one") -> dict[str, str]:
    answer = await ask(client, query, key=key)
    assert answer.status_code == 400, answer.text
    return {fault["path"]: fault["reason"] for fault in answer.json()["error"]["details"]["faults"]}


class TestCursor:
    async def test_leads_from_any_page_to_the_end(self, client: httpx2.AsyncClient):
        answer = await read(client, "page=2&per_page=7")
        seen = answer["numbers"]
        while answer["meta"]["next_cursor"] is not None:
            answer = await read(client, f"per_page=7&cursor={answer['meta']['next_cursor']}")
            seen += answer["numbers"]
        assert seen == list(range(8, 61))

    async def test_is_empty_for_the_beginning(self, client: httpx2.AsyncClient):
        answer = await read(client, "cursor=&per_page=3")
        assert answer["numbers"] == [1, 2, 3]

    async def test_counts_nothing(self, client: httpx2.AsyncClient):
        about = (await read(client, "cursor=&per_page=60"))["meta"]
        assert about == {"total": None, "page": None, "per_page": 60, "pages": None, "next_cursor": None}
        assert list(about) == ["total", "page", "per_page", "pages", "next_cursor"]

    async def test_stands_in_pages_after_the_members_of_the_spec(self, client: httpx2.AsyncClient):
        about = (await read(client, "per_page=50"))["meta"]
        assert list(about) == ["total", "page", "per_page", "pages", "next_cursor"]
        assert (await read(client, "page=2&per_page=50"))["meta"]["next_cursor"] is None

    async def test_takes_another_size_of_parts(self, client: httpx2.AsyncClient):
        cursor = (await read(client, "per_page=5"))["meta"]["next_cursor"]
        assert (await read(client, f"cursor={cursor}&per_page=2"))["numbers"] == [6, 7]

    async def test_is_not_given_beside_a_page(self, client: httpx2.AsyncClient):
        both = {"page": "must not be given together with cursor", "cursor": "must not be given together with page"}
        assert await faults(client, "page=1&cursor=") == both
        assert await faults(client, "page=1&cursor=x&kind=cash") == {
            **both,
            "kind": "must be one of: bank_account, card",
        }

    async def test_is_for_one_list_with_its_filters(self, client: httpx2.AsyncClient):
        cursor = (await read(client, "per_page=5&kind=card"))["meta"]["next_cursor"]
        assert (await read(client, f"kind=card&cursor={cursor}"))["numbers"][0] == 6
        for query in ("", "kind=bank_account&", "kind=card&detailed=true&"):
            assert await faults(client, f"{query}cursor={cursor}") == {"cursor": NOT_OURS}

    async def test_is_for_one_account(self, client: httpx2.AsyncClient):
        cursor = (await read(client, "per_page=5"))["meta"]["next_cursor"]
        assert await faults(client, f"cursor={cursor}", key="ls_test_other") == {"cursor": NOT_OURS}

    async def test_is_refused_when_altered(self, client: httpx2.AsyncClient):
        cursor = (await read(client, "per_page=5"))["meta"]["next_cursor"]
        altered = {cursor[:at] + other + cursor[at + 1 :] for at in range(len(cursor)) for other in "Aa_%"} - {cursor}
        altered |= {cursor[:-1], f"{cursor}=", f"{cursor}A", f"={cursor}", "x", "%00", "%C3%A9", "null", "5"}
        for wrong in sorted(altered):
            refused = await faults(client, f"cursor={wrong}")
            assert set(refused) <= {"cursor", ""}, wrong

    async def test_has_a_bound(self, client: httpx2.AsyncClient):
        assert await faults(client, f"cursor={'x' * 4001}") == {"cursor": "must not be longer than 4000 characters"}


class TestLinks:
    async def test_of_pages_lead_to_pages(self, client: httpx2.AsyncClient):
        links = (await ask(client, "kind=card&page=2&per_page=20")).links
        base = "/v1/things?kind=card&page={}&per_page=20"
        assert {name: link["url"] for name, link in links.items()} == {
            "first": base.format(1),
            "prev": base.format(1),
            "next": base.format(3),
            "last": base.format(3),
        }

    async def test_along_a_cursor_lead_along(self, client: httpx2.AsyncClient):
        links = (await ask(client, "kind=card&per_page=40&cursor=")).links
        assert links["first"]["url"] == "/v1/things?kind=card&cursor=&per_page=40"
        (following,) = links.keys() - {"first"}
        assert following == "next"
        answer = await client.get(links["next"]["url"], headers={"Authorization": "Bearer ls_test_one"})
        assert answer.json()["numbers"] == list(range(41, 61))
        assert list(answer.links) == ["first"]

    async def test_beyond_the_reach_of_pages_go_on_along_a_cursor(self):
        page = PageRequest(page=100, per_page=100, place="x")
        numbers = range(10_300)
        about = meta(page, page.of_whole(numbers, types=(int,), key=lambda number: (number,)))
        header = link_header("/v1/x", "page=100&per_page=100", about)
        assert f'</v1/x?cursor={about.next_cursor}&per_page=100>; rel="next"' in header
        assert 'rel="last"' not in header


class TestKeys:
    ZONE = timezone(timedelta(hours=3))

    @pytest.mark.parametrize(
        "value",
        [
            datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
            datetime(2024, 3, 1, 2, 0, tzinfo=ZONE),
            date(2024, 2, 29),
            UUID(int=2**128 - 1),
            0,
            -(2**63) + 1,
            2**63 - 1,
            "",
            "a\tb/é🌍\"'",
        ],
    )
    async def test_are_read_as_they_were_written(self, value: KeyValue):
        cursor = write_cursor(write_key([value]), place="x")
        assert PageRequest(after=read_cursor(cursor, place="x")).key(type(value)) == (value,)

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("2024-02-29T00:00:00", datetime),
            ("0001-01-01T00:00:00+14:00", datetime),
            ("yesterday", datetime),
            ("2024-02-30", date),
            ("x", UUID),
            ("9223372036854775808", int),
            ("9" * 5000, int),
            ("1.5", int),
            ("a\x00b", str),
        ],
    )
    async def test_of_a_forged_cursor_are_refused(self, text: str, kind: type[KeyValue]):
        with pytest.raises(InvalidParameter):
            PageRequest(after=(text,)).key(kind)
        with pytest.raises(InvalidParameter):
            PageRequest(after=(text, text)).key(kind)

    async def test_of_a_forged_cursor_never_break_the_server(self, client: httpx2.AsyncClient):
        cursor = (await read(client, "per_page=5"))["meta"]["next_cursor"]
        head = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[:13]
        for content in (
            b"",
            b"[]",
            b"null",
            b'["x"]',
            b'["1","2"]',
            b"[1]",
            b'[["1"]]',
            b"\xff",
            json.dumps(["9" * 30]),
        ):
            forged = head + (content.encode() if isinstance(content, str) else content)
            text = urlsafe_b64encode(forged).rstrip(b"=").decode()
            assert await faults(client, f"cursor={text}") == {"cursor": NOT_OURS}

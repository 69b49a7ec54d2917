"""Reading of JSON, values, card numbers and fingerprints, without a server."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.core.errors import BillingError, Fault, InvalidParameter, NotFound, Refused, Unavailable
from billing.core.page import Page, PageRequest
from billing.kit.idempotency import fingerprint
from billing.kit.web import DateFilter, RawBody, RawQuery, encode, meta, window_of
from billing.kit.web.card_numbers import holds_card_number, is_card_number
from billing.kit.web.errors import answer_of_error, translate
from billing.kit.web.paging import link_header
from billing.kit.web.reading import is_too_deep, read_json


def depth_of(tree: Any) -> int:
    members = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else None
    return 0 if members is None else 1 + max(map(depth_of, members), default=0)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=30,
)


class TestDepth:
    @given(tree=TREES, wraps=st.integers(0, 40))
    def test_is_that_of_the_tree(self, tree: Any, wraps: int):
        for _ in range(wraps):
            tree = [tree]
        assert is_too_deep(json.dumps(tree).encode()) == (depth_of(tree) > 32)

    @pytest.mark.parametrize(
        "content",
        [
            b'"' + b'\\"' * 500_000 + b"[" * 40,
            b'"a' * 330_000 + b"[" * 40,
            b"[" * 1_000_000,
            b"[]" * 500_000,
            b"\\" * 999_000 + b"{" * 40,
        ],
    )
    def test_is_found_in_linear_time(self, content: bytes):
        started = time.process_time()
        is_too_deep(content)
        with pytest.raises(InvalidParameter):
            read_json(content)
        assert time.process_time() - started < 2


class Child(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    count: int = 0

    def __post_init__(self) -> None:
        if self.count == 13:
            raise InvalidParameter([Fault("body", "count", "must not be 13")])
        if self.count == 14:
            raise ValueError("must not be 14 either")


class Wanted(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    count: int = 0
    price: Decimal = Decimal(0)
    tags: tuple[str, ...] = ()
    child: Child | None = None


def read(content: str) -> Wanted:
    return RawBody(content.encode(), content_type="application/json").read(Wanted)


def reasons(content: str) -> dict[str, str]:
    with pytest.raises(InvalidParameter) as caught:
        read(content)
    return {fault.path: fault.reason for fault in caught.value.faults}


class TestSchemas:
    def test_make_the_struct(self):
        wanted = read('{"count": 5, "price": 0.10, "tags": ["a"], "child": {"count": -1}}')
        assert wanted == Wanted(count=5, price=Decimal("0.10"), tags=("a",), child=Child(count=-1))

    @pytest.mark.parametrize("literal", ["1.0", "1e2", '"1"', "true", "[]", "1.5"])
    def test_want_whole_numbers_written_as_such(self, literal: str):
        assert reasons(f'{{"count": {literal}}}') == {"count": "must be a whole number"}

    @pytest.mark.parametrize("literal", [str(2**63), str(-(2**63)), "9" * 20, "9" * 10_000])
    def test_want_numbers_of_64_bits(self, literal: str):
        assert reasons(f'{{"count": {literal}}}') == {"count": "is out of range"}

    def test_add_their_own_faults_under_their_path(self):
        assert reasons('{"child": {"count": 13}}') == {"child.count": "must not be 13"}
        assert reasons('{"child": {"count": 14}}') == {"child": "must not be 14 either"}

    def test_leave_unknown_members_alone_where_a_schema_says_so(self):
        class Lenient(msgspec.Struct):
            accepts_unknown: ClassVar[bool] = True
            a: int

        items = RawBody(b'[{"a": 1, "b": {"c": 2}}]', content_type="application/json").read_json_array(
            Lenient, max_items=1
        )
        assert items[0].value == Lenient(1)

    def test_may_be_read_from_nothing(self):
        assert RawBody(b"", content_type="").read(Wanted, optional=True) == Wanted()

    def test_refuse_types_that_the_wire_does_not_know(self):
        class Odd(msgspec.Struct):
            value: str | int

        with pytest.raises(TypeError):
            RawBody(b"{}", content_type="application/json").read(Odd)

    @given(content=st.binary(max_size=200))
    def test_answer_any_bytes_with_faults(self, content: bytes):
        try:
            RawBody(content, content_type="application/json").read(Wanted)
        except InvalidParameter as error:
            encode(error.details)

    @given(tree=TREES)
    def test_answer_any_json_with_faults(self, tree: Any):
        content = json.dumps({"count": tree, "price": tree, "tags": tree, "child": tree, "more": tree}).encode()
        with pytest.raises(InvalidParameter) as caught:
            RawBody(content, content_type="application/json").read(Wanted)
        encode(caught.value.details)

    @given(text=st.text(max_size=100))
    def test_answer_any_query_with_faults(self, text: str):
        try:
            RawQuery(text).read(Wanted)
        except InvalidParameter as error:
            encode(error.details)


class TestDateFilter:
    @pytest.mark.parametrize(
        ("text", "start", "end"),
        [
            ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            ("2024-01-31T23:59:59Z", "2024-01-31T23:59:59", "2024-02-01T00:00:00"),
            ("2024-01-01t03:00:00+03:00", "2024-01-01T00:00:00", "2024-01-01T00:00:01"),
            ("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00.500000", "2024-01-01T00:00:00.500001"),
        ],
    )
    def test_is_a_day_or_a_second(self, text: str, start: str, end: str):
        read = DateFilter.read(text)
        assert (read.start, read.end) == tuple(datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (start, end))

    @pytest.mark.parametrize(
        "text", ["", "2024", "2024-1-1", "2024-01-01T00:00:00", "2024-01-01T00:00Z", "tomorrow", "20240101"]
    )
    def test_refuses_other_texts(self, text: str):
        with pytest.raises(ValueError, match="must be a date"):
            DateFilter.read(text)

    def test_makes_a_window(self):
        day = DateFilter.read("2024-01-01")
        assert window_of(day, day) == (day.start, day.end)
        assert window_of(None, day) == (None, day.end)
        with pytest.raises(InvalidParameter):
            window_of(DateFilter.read("2024-01-02"), day)


class TestCardNumbers:
    @pytest.mark.parametrize(
        "digits",
        [
            "4222222222222",
            "4111111111111111",
            "5105105105105100",
            "2720990000000007",
            "378282246310005",
            "6011000990139424",
            "3530111333300000",
            "30569309025904",
            "38520000023237",
            "36227206271667",
        ],
    )
    def test_are_known_by_scheme_length_and_sum(self, digits: str):
        assert is_card_number(digits)
        assert not is_card_number(digits[:-1] + str((int(digits[-1]) + 1) % 10))
        assert holds_card_number(f"12 {digits[:4]}-{digits[4:8]} {digits[8:]}.")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "2221-2720",
            "0000000000000000",
            "9111111111111111",
            "42" * 40,
            "id_4111111111111111",
            "a4111111111111111b",
        ],
    )
    def test_are_not_other_texts(self, text: str):
        assert not holds_card_number(text)


class TestFingerprint:
    def test_is_of_values(self):
        same = fingerprint({"a": Decimal("100.00"), "b": [1, None]})
        assert fingerprint({"b": [1, None], "a": Decimal(100)}) == same
        assert fingerprint({"b": [1, None], "a": Decimal("1E+2")}) == same
        assert fingerprint({"b": [None, 1], "a": Decimal(100)}) != same
        assert fingerprint({"b": [1, None], "a": Decimal("100.000000000000000000000000000000000000001")}) != same


class TestEncode:
    def test_writes_decimals_as_they_are(self):
        values = {"a": Decimal("25.00"), "b": Decimal("0.0035"), "c": Decimal("12345678901234567890.123456789012")}
        assert encode(values) == b'{"a":25.00,"b":0.0035,"c":12345678901234567890.123456789012}'

    def test_cuts_instants_and_leaves_texts_alone(self):
        text = "2024-01-01T00:00:00.5Z"
        shown = encode(
            {"at": datetime(2024, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), "text": text, "amount": Decimal("1.50")}
        )
        assert shown == b'{"at":"2024-01-01T00:00:00Z","text":"2024-01-01T00:00:00.5Z","amount":1.50}'

    def test_knows_no_instant_without_a_zone(self):
        with pytest.raises(ValueError, match="zone"):
            encode({"at": datetime(2024, 1, 1)})  # noqa: DTZ001 -- the very mistake


class TestTranslate:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (NotFound(), 404, "not_found"),
            (Refused(), 422, "refused"),
            (Unavailable(), 503, "unavailable"),
            (BillingError(), 500, "internal_error"),
            (asyncpg.CannotConnectNowError(), 503, "unavailable"),
            (asyncpg.ConnectionDoesNotExistError(), 503, "unavailable"),
            (asyncpg.TooManyConnectionsError(), 503, "unavailable"),
            (asyncpg.DiskFullError(), 503, "unavailable"),
            (asyncpg.SerializationError(), 503, "unavailable"),
            (asyncpg.LockNotAvailableError(), 503, "unavailable"),
            (asyncpg.ReadOnlySQLTransactionError(), 503, "unavailable"),
            (asyncpg.ObjectNotInPrerequisiteStateError(), 503, "unavailable"),
            (asyncpg.InvalidCachedStatementError(), 503, "unavailable"),
            (asyncpg.IdleInTransactionSessionTimeoutError(), 503, "unavailable"),
            (asyncpg.TransactionTimeoutError(), 503, "unavailable"),
            (asyncpg.PostgresIOError(), 503, "unavailable"),
            (asyncpg.InterfaceError("pool is closed"), 503, "unavailable"),
            (asyncpg.InterfaceError("another operation is in progress"), 500, "internal_error"),
            (asyncpg.NumericValueOutOfRangeError(), 400, "invalid_parameter"),
            (asyncpg.CharacterNotInRepertoireError(), 400, "invalid_parameter"),
            (asyncpg.UniqueViolationError(), 500, "internal_error"),
            (TimeoutError(), 500, "internal_error"),
            (FileNotFoundError(), 500, "internal_error"),
        ],
    )
    def test_tells_what_a_caller_may_know(self, error: Exception, status: int, code: str):
        answer = answer_of_error(error, request_id="r1")
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)

    async def test_knows_a_database_that_is_not_there(self, tmp_path: Any):
        with pytest.raises(OSError) as caught:
            await asyncpg.connect(host=str(tmp_path), user="nobody", database="none")
        assert isinstance(translate(caught.value), Unavailable)


class TestLinks:
    @pytest.mark.parametrize(
        ("page", "total", "expected"),
        [
            (1, 0, {"first": 1, "last": 1}),
            (1, 30, {"first": 1, "next": 2, "last": 2}),
            (9, 30, {"first": 1, "prev": 2, "last": 2}),
            (1, 1_000_000, {"first": 1, "next": 2}),
        ],
    )
    def test_stay_within_the_list(self, page: int, total: int, expected: dict[str, int]):
        header = link_header("/v1/x", "q=a%26b&page=7", meta(PageRequest(page=page), Page((), total, None)))
        links = [f'</v1/x?q=a%26b&page={number}&per_page=25>; rel="{name}"' for name, number in expected.items()]
        assert header == ", ".join(links)

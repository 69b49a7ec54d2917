"""Plain batches of events: read as the reader that names every fault would read them, or left to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from billing.core.errors import InvalidParameter
from billing.kit.web import RawBody
from billing.metering.plain_batches import read_plain
from billing.metering.schemas import EVENTS_MAX, MEDIA_TYPE, UsageEventIn

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "platform",
    "type": "usage",
    "subject": "vps_1",
    "time": "2026-01-31T12:00:00Z",
    "data": {"account_id": "acc_1", "meter": "traffic", "quantity": 1},
}
TEXT = json.dumps([EVENT])
MEMBERS = [*EVENT, *EVENT["data"]]

values = st.one_of(
    st.text(max_size=6),
    st.sampled_from([None, True, 1, -0.0, 1e300, "", "1.0", "usage", "x" * 200, "x" * 201, [], {}, {"id": "a"}]),
    st.sampled_from(
        ["2026-01-31T12:00:00.1234567+03:00", "2026-01-31t12:00:00z", "2026-02-30T00:00:00Z", "2026-01-31"]
    ),
    st.integers(),
    st.decimals().map(str),
)
literals = st.sampled_from(
    ["0", "-1", "1.50", "1e5", "1E-12", "01", "1.", "NaN", "1e61", "1" * 101, '"3"', "+1", "0.0000000000001"]
)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """Batches, most of them with something odd: a member too many, too few, twice, of another kind, or bytes that are none."""
    written = [_event(draw) for _ in range(draw(st.integers(0, 3)))]
    text = f"[{', '.join(written)}]"
    content = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0 and content:
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.binary(max_size=2)) + content[at + draw(st.integers(0, 2)) :]
    return content


def _event(draw: st.DrawFn) -> str:
    data = dict(EVENT["data"])
    event = {**EVENT, "data": data}
    for _ in range(max(0, draw(st.integers(-4, 2)))):
        where = draw(st.sampled_from([event, data]))
        where[draw(st.sampled_from([*where, "extension"]))] = draw(values)
    if draw(st.integers(0, 9)) == 0:
        event.pop(draw(st.sampled_from(list(event))))
    text = json.dumps(event, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace('"quantity": 1', f'"quantity": {draw(literals)}')
    if draw(st.integers(0, 9)) == 0:  # twice, before or after
        name, space = draw(st.sampled_from(MEMBERS)), draw(st.sampled_from(["", " ", "\n\t"]))
        text = text.replace(f'"{name}"', f'"{name}"{space}: {draw(st.sampled_from(["1", TEXT]))}, "{name}"', 1)
    return text


def read_with_care(content: bytes) -> list[UsageEventIn] | None:
    """What the other reader says, or None if it names a fault."""
    try:
        items = RawBody(content, content_type=MEDIA_TYPE).read_json_array(
            UsageEventIn, media_type=MEDIA_TYPE, max_items=EVENTS_MAX
        )
    except InvalidParameter:
        return None
    found = [item.value for item in items if item.value is not None]
    return found if len(found) == len(items) else None


class TestReading:
    """Beside the reader that names every fault."""

    @given(batches())
    @example(TEXT.replace('"id": "e1"', '"id": "e0", "id": "e1"').encode())
    @example(TEXT.replace('"id": "e1"', '"\\u0069d": "e0", "id": "e1"').encode())
    @example(TEXT.replace('"quantity": 1', '"quantity": "1"').encode())
    @example(TEXT.replace('"quantity": 1', '"quantity": 2, "quantity": 1').encode())
    @example(b"[]")
    def test_says_the_same_or_nothing(self, content: bytes):
        plain = read_plain(content)
        assert plain is None or plain == read_with_care(content)

    @pytest.mark.parametrize("quantity", ["0", "7", "-1", "1.50", "1e5", "1E-12"])
    def test_is_done_at_once_for_what_is_usual(self, quantity: str):
        content = TEXT.replace('"quantity": 1', f'"quantity": {quantity}').encode()
        assert read_plain(content) == read_with_care(content) is not None

    def test_is_left_to_the_other_where_something_is_escaped_or_beside_it(self):
        extended = json.dumps([{**EVENT, "datacontenttype": "application/json"}]).encode()
        escaped = TEXT.replace('"e1"', '"\\u00651"').encode()
        assert (read_plain(extended), read_plain(escaped)) == (None, None)
        assert read_with_care(extended) is not None
        assert read_with_care(escaped) is not None

"""Credentials: every way to show one, and every way to get it wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import http_scope
from veneer.auth.credentials import MAX_LENGTH, TWO, Credentials, Shown
from veneer.dialects import Kind
from veneer.errors import Error

DEFAULT = Credentials()
BROWSER = Credentials(["authorization", "sec-websocket-protocol"])
HOST = (b"host", b"veneer.test")

VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != ",")
keys = st.text(VISIBLE, min_size=1, max_size=60)
blanks = st.text(" \t", max_size=3)
names = st.sampled_from([b"authorization", b"x-api-key", b"api-key"])


def field(name: bytes, key: str, scheme: str = "Bearer", blank: str = "") -> tuple[bytes, bytes]:
    value = f"{scheme} {blank}{key}{blank}" if name == b"authorization" else f"{blank}{key}{blank}"
    return name, value.encode()


def shown(*headers: tuple[bytes, bytes]) -> str | None:
    found = DEFAULT.read(headers)
    assert isinstance(found, Shown), found
    return found.credential


def malformed(*headers: tuple[bytes, bytes]) -> Error:
    found = DEFAULT.read(headers)
    assert isinstance(found, Error)
    assert found.kind is Kind.KEY_MALFORMED
    assert (b"www-authenticate", b"Bearer") in found.headers
    return found


@given(names, keys, st.sampled_from(["Bearer", "bearer", "BEARER", "bEaReR"]), blanks)
def test_a_key_is_read_from_every_field(name: bytes, key: str, scheme: str, blank: str) -> None:
    assert shown(HOST, field(name, key, scheme, blank)) == key


@given(keys, st.lists(names, min_size=1, max_size=5))
def test_the_same_key_may_stand_in_several_fields(key: str, where: list[bytes]) -> None:
    assert shown(*(field(name, key) for name in where)) == key


@given(keys, keys, names, names)
def test_two_different_keys_are_refused(one: str, two: str, here: bytes, there: bytes) -> None:
    found = DEFAULT.read([field(here, one), HOST, field(there, two)])
    assert (found == TWO) is (one != two)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"authorization", b"x-api-key", b"host"]),
            st.binary(max_size=40) | st.binary(max_size=20).map(lambda tail: b"Bearer " + tail),
        ),
        max_size=4,
    )
)
def test_whatever_comes_is_a_clean_credential_or_an_error(
    headers: list[tuple[bytes, bytes]],
) -> None:
    found = DEFAULT.read(headers)
    if isinstance(found, Shown):
        assert found.credential is None or set(found.credential) <= set(VISIBLE)
        assert found.headers == [pair for pair in headers if pair[0] == b"host"]
    else:
        assert found == TWO or found.kind is Kind.KEY_MALFORMED


@given(keys)
def test_no_error_repeats_what_was_sent(key: str) -> None:
    secret = f"secret-{key}"
    for value in (f"Basic {secret}", f"Bearer {secret} {secret}", f"Bearer {secret},x"):
        assert "secret" not in malformed((b"authorization", value.encode())).message


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"bearer   ",
        b"Basic dXNlcjpwYXNz",
        b"Bearerabc",
        b"Bearer\tabc",
        b"abc",
        b"Bearer abc, Bearer abc",
        b"Bearer abc,def",
        b"Bearer abc def",
        b"Bearer k\xc3\xa9y",
        b"Bearer a\x00b",
        b"Bearer a\x7fb",
        b"Bearer " + b"x" * (MAX_LENGTH + 1),
        b"x" * 100_000,
    ],
)
def test_what_is_no_bearer_token_is_malformed(value: bytes) -> None:
    malformed((b"authorization", value))


@pytest.mark.parametrize(
    "value", [b"", b"  ", b"Bearer abc", b"a,b", b"\xff", b"x" * (MAX_LENGTH + 1)]
)
def test_what_is_no_bare_key_is_malformed(value: bytes) -> None:
    malformed((b"x-api-key", value))


def test_the_longest_key_passes() -> None:
    assert shown((b"api-key", b"x" * MAX_LENGTH)) == "x" * MAX_LENGTH


def test_fields_that_are_not_configured_are_left_alone() -> None:
    only = Credentials(["X-Api-Key"])
    authorization = (b"authorization", b"Basic dXNlcjpwYXNz")
    found = only.read([authorization, (b"x-api-key", b"abc")])
    assert found == Shown("abc", [authorization])


def test_what_is_missing_is_said_with_the_ways_to_send_it() -> None:
    assert DEFAULT.read([HOST]) == Shown(None, [HOST])
    assert DEFAULT.missing.message == (
        "You did not provide an API key. Send it as 'Authorization: Bearer YOUR_KEY' or "
        "'x-api-key' or 'api-key'."
    )
    only = Credentials(["sec-websocket-protocol"])
    assert only.missing.message == "You did not provide an API key."


@pytest.mark.parametrize("wrong", [[], [""], ["authorization", "two words"]])
def test_what_names_no_field_is_refused(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match="name header fields"):
        Credentials(wrong)


def handshake(*protocols: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> dict[str, object]:
    offer = ((b"sec-websocket-protocol", ", ".join(protocols).encode()),) if protocols else ()
    return {"headers": [HOST, *headers, *offer], "subprotocols": list(protocols)}


def test_a_browser_shows_its_key_among_the_subprotocols() -> None:
    scope = handshake("realtime", "openai-insecure-api-key.abc", "openai-beta.realtime-v1")
    found, offered = BROWSER.read_websocket(scope)
    others = "realtime, openai-beta.realtime-v1"
    assert found == Shown("abc", [HOST, (b"sec-websocket-protocol", others.encode())])
    assert offered == ["realtime", "openai-beta.realtime-v1"]


def test_a_list_of_subprotocols_may_have_empty_items() -> None:
    offer = (b"sec-websocket-protocol", b"realtime,, openai-insecure-api-key.abc,")
    found, _ = BROWSER.read_websocket({"headers": [offer]})
    assert found == Shown("abc", [(b"sec-websocket-protocol", b"realtime")])


def test_where_a_key_was_the_only_subprotocol_the_field_is_gone() -> None:
    found, offered = BROWSER.read_websocket(handshake("openai-insecure-api-key.abc"))
    assert (found, offered) == (Shown("abc", [HOST]), [])


def test_a_browser_key_counts_only_where_it_is_configured_and_on_websockets() -> None:
    scope = handshake("realtime", "openai-insecure-api-key.abc")
    found, offered = DEFAULT.read_websocket(scope)
    assert isinstance(found, Shown)
    assert found.credential is None
    assert offered == ["realtime", "openai-insecure-api-key.abc"]
    assert BROWSER.read(handshake("openai-insecure-api-key.abc")["headers"]) == Shown(  # type: ignore[arg-type]  # it is the list of fields
        None, [HOST, (b"sec-websocket-protocol", b"openai-insecure-api-key.abc")]
    )


def of_browser(field_key: str | None, *protocol_keys: str) -> Shown | Error:
    headers = () if field_key is None else (field(b"authorization", field_key),)
    scope = handshake(*(f"openai-insecure-api-key.{key}" for key in protocol_keys), headers=headers)
    return BROWSER.read_websocket(scope)[0]


def test_browser_keys_that_differ_from_another_are_refused() -> None:
    assert of_browser("abc", "abc") == Shown("abc", [HOST])
    assert of_browser("abc", "xyz") == TWO
    assert of_browser(None, "abc", "xyz") == TWO


def test_a_malformed_field_is_refused_on_websockets_too() -> None:
    scope = http_scope(headers=[(b"authorization", b"Basic x")])
    found, offered = BROWSER.read_websocket(scope)
    assert isinstance(found, Error)
    assert offered == []


def test_a_browser_key_may_be_malformed() -> None:
    found, _ = BROWSER.read_websocket(handshake("openai-insecure-api-key."))
    assert isinstance(found, Error)
    assert found.kind is Kind.KEY_MALFORMED

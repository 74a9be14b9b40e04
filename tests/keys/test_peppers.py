"""Peppers: digests, rotation, and what they refuse."""

import hashlib
import hmac

import pytest

from veneer.keys.peppers import Peppers

OLD = b"o" * 32
NEW = b"n" * 32


def test_a_digest_is_the_hmac_of_the_token_under_the_current_pepper() -> None:
    peppers = Peppers({"1": OLD, "2": NEW}, current="2")
    assert peppers.digest("vnr_x") == ("2", hmac.new(NEW, b"vnr_x", hashlib.sha256).hexdigest())


def test_digests_are_under_every_pepper_the_current_one_first() -> None:
    peppers = Peppers({"1": OLD, "2": NEW, "3": b"3" * 40}, current="2")
    digests = peppers.digests("vnr_x")
    assert [pepper_id for pepper_id, _ in digests] == ["2", "1", "3"]
    assert digests[0] == peppers.digest("vnr_x")
    assert digests[1][1] == Peppers({"1": OLD}, current="1").digest("vnr_x")[1]
    assert len({digest for _, digest in digests}) == 3


def test_only_what_stands_before_the_current_pepper_is_outdated() -> None:
    peppers = Peppers({"1": OLD, "2": NEW, "3": b"3" * 32}, current="2")
    assert [peppers.is_outdated(pepper_id) for pepper_id in "123"] == [True, False, False]


def test_a_short_pepper_is_refused_with_its_length_and_a_way_to_make_one() -> None:
    with pytest.raises(ValueError, match=r"'1' has 31 bytes.*at least 32.*openssl") as error:
        Peppers({"1": b"s" * 31}, current="1")
    assert "sss" not in str(error.value)


def test_the_current_pepper_must_be_there() -> None:
    with pytest.raises(ValueError, match="'2', is not among the peppers \\('1'\\)"):
        Peppers({"1": OLD}, current="2")
    with pytest.raises(ValueError, match="there are none"):
        Peppers({}, current="1")


def test_two_peppers_may_not_be_the_same() -> None:
    with pytest.raises(ValueError, match="the same"):
        Peppers({"1": OLD, "2": OLD}, current="2")


def test_a_repr_names_peppers_and_shows_no_secret() -> None:
    assert repr(Peppers({"1": OLD, "2": NEW}, current="2")) == "Peppers('1', '2', current='2')"

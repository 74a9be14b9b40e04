"""Claims: what becomes of them."""

from typing import Any

import pytest

from veneer.auth.claims import MAX_ITEMS, Claims
from veneer.auth.jose import TokenError
from veneer.facts import Principal


def mapped(mapping: Claims, **claims: Any) -> Principal:
    return mapping.principal({"sub": "alice", **claims})


def test_by_default_the_subject_may_write() -> None:
    found = mapped(Claims(), scope="admin", models=["x"])
    assert found == Principal(id="alice", scopes=frozenset({"write"}))


def test_every_field_has_its_claim() -> None:
    mapping = Claims(
        id="oid",
        name="name",
        team=("org", "id"),
        user="email",
        scopes="scp",
        operations="ops",
        models="models",
        tags="groups",
        attributes=("tenant", "absent"),
    )
    found = mapped(
        mapping,
        oid="o1",
        name="Alice",
        org={"id": "t1"},
        email="a@idp.test",
        scp="read openid admin",
        ops=["embeddings"],
        models="gpt-* claude-*",
        groups=["a", "b"],
        tenant={"n": 1},
    )
    assert found == Principal(
        id="o1",
        name="Alice",
        team="t1",
        user="a@idp.test",
        scopes=frozenset({"read", "admin"}),
        operations=frozenset({"embeddings"}),
        models=("gpt-*", "claude-*"),
        tags=("a", "b"),
        attributes={"tenant": {"n": 1}},
    )


def test_scopes_may_have_other_names_in_tokens() -> None:
    mapping = Claims(scopes=("roles", "llm"), scope_names={"user": "write", "boss": "full"})
    assert mapped(mapping, roles={"llm": ["boss", "admin"]}).scopes == {"full"}
    assert mapped(mapping, roles=["boss"]).scopes == frozenset()
    assert mapped(mapping).scopes == frozenset()


def test_a_token_without_the_claim_that_narrows_may_use_nothing() -> None:
    found = mapped(Claims(operations="ops", models="models", tags="tags"))
    assert (found.operations, found.models, found.tags) == (frozenset(), (), ())


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None},
        {"sub": {"a": 1}},
        {"sub": "x" * 300},
        {"team": ""},
        {"team": ["t"]},
        {"ops": {"a": 1}},
        {"ops": [1]},
        {"ops": 7},
        {"ops": ["a\n"]},
        {"ops": ["a"] * (MAX_ITEMS + 1)},
    ],
)
def test_claims_of_another_form_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenError):
        mapped(Claims(team="team", operations="ops"), **claims)


def test_scopes_that_there_are_not_cannot_be_granted() -> None:
    with pytest.raises(ValueError, match="no scope 'wirte'"):
        Claims(granted=frozenset({"wirte"}))
    with pytest.raises(ValueError, match="no scope 'god'"):
        Claims(scope_names={"boss": "god"})

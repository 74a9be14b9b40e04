"""Aurous' way of speaking, under its own brand and another."""

import json

import msgspec
import pytest

from tests.asgi import Exchange, http_scope
from tests.dialects.openai_client import raised_by
from veneer import facts
from veneer.dialects import Failure, Kind
from veneer.dialects.aurous import FORMS, aurous
from veneer.facts import Cost, Route
from veneer.idempotency.replay import IN_FLIGHT
from veneer.prices.credits import Credits

AUROUS = aurous(docs="https://docs.test/errors")

# The types that there are, by the statuses that they stand for.
TYPES = {
    "invalid_request": {400, 402, 405, 408, 409, 413, 415, 422},
    "authentication": {401, 403},
    "not_found": {404, 410},
    "rate_limit": {429},
    "server_error": {500, 502, 503, 504},
}


def failure(kind: Kind) -> Failure:
    return Failure(AUROUS.forms[kind], "Something is wrong.", "model", "req_1")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_type_of_its_status_and_a_code(kind: Kind) -> None:
    form = FORMS[kind]
    assert form.status in TYPES[form.type]
    assert form.code


@pytest.mark.parametrize("kind", Kind)
def test_openais_client_understands_every_kind(kind: Kind) -> None:
    failed = failure(kind)
    error = raised_by(failed.form.status, AUROUS.body(failed))
    assert (error.status_code, error.code) == (failed.form.status, failed.form.code)
    assert error.body == {
        "type": failed.form.type,
        "code": failed.form.code,
        "message": failed.said,
        "param": "model",
        "doc_url": f"https://docs.test/errors#{failed.form.code}",
        "request_id": "req_1",
    }


def test_the_brand_is_in_all_fields_of_its_own() -> None:
    acme = aurous("Acme")
    assert acme.request_id_headers == (b"x-request-id", b"acme-request-id")
    assert acme.replayed[0] == b"acme-idempotent-replayed"
    assert acme.idempotency_status == b"acme-idempotency-status"
    assert acme.versions is not None
    assert acme.versions.field == b"acme-version"
    assert "Acme-Request-Id" in acme.exposed
    assert not any("aurous" in name.lower() for name in acme.exposed)


def test_without_documentation_errors_name_no_page() -> None:
    acme = aurous("Acme")
    assert "doc_url" not in json.loads(acme.body(failure(Kind.INTERNAL)))["error"]


@pytest.mark.parametrize("brand", ["", "a b", "a-b", "é", "x" * 33, "a\n"])
def test_brands_that_no_field_can_have_are_refused(brand: str) -> None:
    with pytest.raises(ValueError, match="brand is"):
        aurous(brand)


@pytest.mark.parametrize("version", ["", "v1", "2026-5-1", "2026-05-15\n"])
def test_versions_that_are_no_dates_are_refused(version: str) -> None:
    with pytest.raises(ValueError, match="A version is"):
        aurous(versions=[version])


def test_an_error_of_the_model_server_comes_with_its_status() -> None:
    route = Route(target="demo", status=503)
    for kind, status in ((Kind.UPSTREAM_BUSY, 503), (Kind.INTERNAL, None)):
        failed = msgspec.structs.replace(failure(kind), route=route)
        assert json.loads(AUROUS.body(failed))["error"].get("status") == status


async def test_who_asks_again_too_soon_is_not_told_when_to_come() -> None:
    exchange = Exchange(http_scope())
    facts.put(exchange.scope, AUROUS)
    await exchange.run(IN_FLIGHT)
    assert (exchange.status, exchange.header("retry-after")) == (409, None)
    assert exchange.json()["error"]["code"] == "idempotency_key_in_use"
    assert (await Exchange(http_scope()).run(IN_FLIGHT)).header("retry-after") == "1"


def test_the_brand_is_in_what_tells_the_cost_and_the_balance() -> None:
    [(name, _)] = aurous("Acme").cost_fields(Cost(total=1), Credits())
    assert name == b"acme-credits-charged"
    assert aurous("Acme").idempotency_names == (
        "Idempotency-Key",
        "Acme-Idempotent-Key",
        "Acme-Idempotency-Key",
    )


def test_a_team_has_one_of_the_versions_or_is_refused() -> None:
    known = ("2026-05-15", "2026-01-01")
    versions = aurous(versions=known, team_versions={"old": "2026-01-01"}).versions
    assert versions is not None
    assert versions.teams == {"old": "2026-01-01"}
    with pytest.raises(ValueError, match="'old' has the version '1999-01-01': give one of 2026"):
        aurous(versions=known, team_versions={"old": "1999-01-01"})
    with pytest.raises(ValueError, match="which are none"):
        aurous(versions=(), team_versions={"old": "1999-01-01"})

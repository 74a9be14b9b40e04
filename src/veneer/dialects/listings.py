"""Listings: the models that there are, as each API lists them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.catalog.model import Model, Provider
from veneer.prices import money
from veneer.prices.credits import Credits
from veneer.prices.price import Price

# Where a kind of model answers, by the names that Auriko has for that.
ENDPOINTS: Mapping[str | None, Sequence[str]] = MappingProxyType(
    {
        None: ("chat_completions", "responses"),
        "chat": ("chat_completions", "responses"),
        "embedding": ("embeddings",),
        "image": ("images_generations",),
        "speech": ("audio_speech",),
        "transcription": ("audio_transcriptions",),
        "moderation": ("moderations",),
    }
)

# Aurous has two kinds of models, and words of its own for what they can do.
FLAGS = MappingProxyType({"reasoning": "reasoning_effort"})


class Offer(msgspec.Struct, frozen=True):
    """One who serves a model, and what it is charged at there."""

    provider: Provider
    price: Price | None = None


class Listed(msgspec.Struct, frozen=True):
    """A model as a list shows it: under one of its names, at what it is charged at."""

    name: str
    model: Model
    price: Price | None = None
    offers: tuple[Offer, ...] = ()

    @property
    def endpoints(self) -> Sequence[str]:
        """Where it answers."""
        return ENDPOINTS[self.model.kind]


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """What there is for a caller: models under all their names, at the prices of a version.

    `at` is the present time, in seconds since the epoch.
    """

    models: Sequence[Listed]
    credits: Credits
    prices_version: str | None = None
    at: float = 0.0


def openai_models(rows: list[dict[str, Any]], _version: str, _age: float) -> bytes:
    """Render a list of models as OpenAI and Aurous do."""
    return msgspec.json.encode({"object": "list", "data": rows})


def auriko_models(rows: list[dict[str, Any]], version: str, age: float) -> bytes:
    """Render a list of models with the version of the catalog, and its age in whole seconds."""
    return msgspec.json.encode(
        {
            "object": "list",
            "data": rows,
            "catalog_version": version,
            "catalog_age_seconds": int(age),
        }
    )


def openai_model(listed: Listed, _credits: Credits) -> dict[str, Any]:
    """Return OpenAI's four members of a model."""
    return {
        "id": listed.name,
        "object": "model",
        "created": listed.model.created,
        "owned_by": listed.model.owned_by,
    }


def aurous_model(listed: Listed, credits_: Credits, prefix: str = "aurous") -> dict[str, Any]:
    """Return Aurous' members: the kind, what is known of the model, and its rates in credits.

    The rates stand beside `<prefix>_metadata` and in it, as its pages have both.
    """
    model = listed.model
    pricing = _pricing(listed, credits_)
    metadata = {
        "kind": model.kind,
        "context_window": model.context_window,
        "dimensions": None if model.dimensions is None else list(model.dimensions),
        "capabilities": sorted(FLAGS.get(flag, flag) for flag in model.capabilities or ()),
        "max_output_tokens_hard_cap": model.output_cap,
        **pricing,
    }
    return {
        **openai_model(listed, credits_),
        "kind": model.kind,
        f"{prefix}_metadata": metadata,
        **pricing,
    }


def aurous_pricing(shelf: Shelf) -> bytes:
    """Render the price list: models that have a price, and what they cost in credits.

    Aurous tells of no form for it; its rows have the members that models have in their list.
    """
    rows = [
        {
            "id": listed.name,
            "kind": listed.model.kind,
            **_pricing(listed, shelf.credits),
            "pricing_version": shelf.prices_version,
        }
        for listed in shelf.models
        if listed.price is not None
    ]
    return msgspec.json.encode({"object": "list", "data": rows, "currency": "credit"})


def auriko_model(listed: Listed, credits_: Credits) -> dict[str, Any]:
    """Return Auriko's members: where it answers, and what a million tokens cost in dollars there.

    Its client requires prices of a provider: one who has none is left out.
    """
    model = listed.model
    row = {**openai_model(listed, credits_), "supported_endpoints": list(listed.endpoints)}
    if model.context_window is not None:
        row["context_window"] = model.context_window
    offers = [_offer(offer.provider, offer.price) for offer in listed.offers if offer.price]
    if offers:
        row["providers"] = offers
    return row


def in_dollars(amount: int) -> msgspec.Raw:
    """Return an amount as a number of dollars, with all of its digits."""
    return msgspec.Raw(money.shown(amount).encode())


def _offer(provider: Provider, price: Price) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": provider.name,
        "input_price": in_dollars(price.rates["input"]),
        "output_price": in_dollars(price.rates["output"]),
    }
    if provider.data_policy is not None:
        row["data_policy"] = provider.data_policy
    return row


def _pricing(listed: Listed, credits_: Credits) -> dict[str, Any]:
    """Return both members that tell rates in credits, null for what the model is not."""
    price = listed.price
    chat = embedding = None
    if price is not None and listed.model.kind == "embedding":
        embedding = {
            "text": _rate(price, "input", credits_),
            "visual": _rate(price, "input_image", credits_),
        }
    elif price is not None:
        chat = {name: _rate(price, name, credits_) for name in ("input", "output")}
    return {"chat_pricing": chat, "embedding_pricing": embedding}


def _rate(price: Price, kind: str, credits_: Credits) -> dict[str, Any]:
    return {"credits_per_M": msgspec.Raw(credits_.shown(price.rates[kind]).encode())}

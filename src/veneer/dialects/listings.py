"""Listings: the models that there are, as each API lists them."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.catalog.model import Model
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


class Listed(msgspec.Struct, frozen=True):
    """A model as a list shows it: under one of its names, at what it is charged at."""

    name: str
    model: Model
    price: Price | None = None

    @property
    def endpoints(self) -> Sequence[str]:
        """Where it answers."""
        return ENDPOINTS[self.model.kind]


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
    model, price = listed.model, listed.price
    chat = embedding = None
    if price is not None and model.kind == "embedding":
        embedding = {
            "text": _rate(price, "input", credits_),
            "visual": _rate(price, "input_image", credits_),
        }
    elif price is not None:
        chat = {name: _rate(price, name, credits_) for name in ("input", "output")}
    pricing = {"chat_pricing": chat, "embedding_pricing": embedding}
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


def auriko_model(listed: Listed, credits_: Credits) -> dict[str, Any]:
    """Return Auriko's members: where it answers, and what a million tokens cost in dollars."""
    model, price = listed.model, listed.price
    row = {**openai_model(listed, credits_), "supported_endpoints": list(listed.endpoints)}
    if model.context_window is not None:
        row["context_window"] = model.context_window
    if price is not None:
        row["providers"] = [
            {
                "name": model.owned_by,
                "input_price": msgspec.Raw(money.shown(price.rates["input"]).encode()),
                "output_price": msgspec.Raw(money.shown(price.rates["output"]).encode()),
            }
        ]
    return row


def _rate(price: Price, kind: str, credits_: Credits) -> dict[str, Any]:
    return {"credits_per_M": msgspec.Raw(credits_.shown(price.rates[kind]).encode())}

"""Directories: what Auriko tells anybody of models and of those who serve them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.catalog.model import CAPABILITIES, Model, Provider
from veneer.dialects.listings import Listed, Offer, Shelf, in_dollars

# What goes into a model of a kind and what comes out of it; text, where nobody knows the kind.
_TEXT = ("text", "text")
_MODALITIES: Mapping[str | None, tuple[str, str]] = MappingProxyType(
    {
        "embedding": ("text", "embedding"),
        "image": ("text", "image"),
        "speech": ("text", "audio"),
        "transcription": ("audio", "text"),
    }
)

# What a provider promises of its data where nothing is known of that.
NO_POLICY = "none"


def auriko_directory(shelf: Shelf) -> bytes:
    """Render all models by their ids, each with all who serve it and their tiers of prices."""
    aliases: dict[str, list[str]] = {}
    for listed in shelf.models:
        if listed.name != listed.model.id:
            aliases.setdefault(listed.model.id, []).append(listed.name)
    models = {
        listed.model.id: {
            "family": listed.model.id,
            "display_name": listed.model.id,
            "providers": [_entry(listed, offer) for offer in listed.offers],
            "author": listed.model.owned_by or None,
            "aliases": aliases.get(listed.model.id, []),
        }
        for listed in own(shelf)
    }
    at = f"{datetime.fromtimestamp(shelf.at, UTC).replace(tzinfo=None):%FT%TZ}"
    return msgspec.json.encode({"models": models, "generated_at": at})


def auriko_registry(shelf: Shelf) -> bytes:
    """Render all models with what each can do and the names of those who serve it."""
    models = [
        {
            "id": listed.model.id,
            "family": listed.model.id,
            "display_name": listed.model.id,
            "author": listed.model.owned_by or None,
            **_abilities(listed.model),
            "providers": [offer.provider.name for offer in listed.offers],
            "has_free_provider": any(map(_is_free, listed.offers)),
        }
        for listed in own(shelf)
    ]
    return msgspec.json.encode({"models": models, "count": len(models), "playground_defaults": []})


def auriko_providers(shelf: Shelf) -> bytes:
    """Render all who serve a model; what is not known of them is empty."""
    found: dict[str, Provider] = {}
    for listed in own(shelf):
        for offer in listed.offers:
            found.setdefault(offer.provider.name, offer.provider)
    providers = [
        {
            "id": name,
            "display_name": name,
            "description": "",
            "icon": "",
            "data_policy": provider.data_policy or NO_POLICY,
        }
        for name, provider in found.items()
    ]
    return msgspec.json.encode({"providers": providers, "count": len(providers)})


def own(shelf: Shelf) -> Sequence[Listed]:
    """Return models once, under their own names."""
    return [listed for listed in shelf.models if listed.name == listed.model.id]


def _entry(listed: Listed, offer: Offer) -> dict[str, Any]:
    model, price = listed.model, offer.price
    tiers = []
    if price is not None and price.has_tokens:
        tiers.append(
            {
                "name": "standard",
                "input_price": in_dollars(price.rates["input"]),
                "output_price": in_dollars(price.rates["output"]),
                "cache_read_price": in_dollars(price.rates["cached_input"]),
                "cache_write_price": in_dollars(price.rates["cache_write"]),
            }
        )
    return {
        "provider": offer.provider.name,
        "provider_model_id": model.id,
        "context_window": model.context_window,
        "max_output_tokens": model.output_cap,
        **_abilities(model),
        "tiers": tiers,
        "data_policy": offer.provider.data_policy,
        "supported_endpoints": list(listed.endpoints),
    }


def _abilities(model: Model) -> dict[str, Any]:
    """Return what a model can do, as far as that is known, and what it takes and makes."""
    taken, made = _MODALITIES.get(model.kind, _TEXT)
    known: Iterable[str] = () if model.capabilities is None else sorted(CAPABILITIES)
    sees = model.capabilities is not None and "vision" in model.capabilities
    return {
        "capabilities": {name: name in (model.capabilities or ()) for name in known},
        "input_modalities": [taken, "image"] if sees else [taken],
        "output_modalities": [made],
    }


def _is_free(offer: Offer) -> bool:
    price = offer.price
    return price is not None and price.has_tokens and not (price.most_input or price.most_output)

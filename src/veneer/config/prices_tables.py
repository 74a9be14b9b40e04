"""The tables of `veneer.toml` that say what models cost."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.config.table import Amount, Name, Table


class PriceTable(Table, frozen=True):
    """What a model costs, in dollars or credits: a million tokens of each kind, and other things.

    Amounts stand in quotes, so that they are exact.
    """

    model: Annotated[
        Name,
        Meta(
            description='The model, or a pattern such as `"gpt-4o*"`. Exact names go first, then '
            "the first pattern that matches; several prices of one differ in `since` or `above`."
        ),
    ]
    input: Annotated[
        Amount | None,
        Meta(description="A million input tokens. Left out, they cost what `output` does."),
    ] = None
    cached_input: Annotated[
        Amount | None, Meta(description="Those read from a cache; left out: as `input`.")
    ] = None
    cache_write: Annotated[
        Amount | None, Meta(description="Those written to a cache; left out: as `input`.")
    ] = None
    output: Annotated[
        Amount | None,
        Meta(
            description="A million output tokens. Left out, as for embeddings, they cost what "
            "`input` does."
        ),
    ] = None
    reasoning: Annotated[
        Amount | None, Meta(description="Those of reasoning; left out: as `output`.")
    ] = None
    input_audio: Annotated[
        Amount | None, Meta(description="Input tokens of audio; left out: as `input`.")
    ] = None
    output_audio: Annotated[
        Amount | None, Meta(description="Output tokens of audio; left out: as `output`.")
    ] = None
    input_image: Annotated[
        Amount | None, Meta(description="Input tokens of images; left out: as `input`.")
    ] = None
    output_image: Annotated[
        Amount | None, Meta(description="Output tokens of images; left out: as `output`.")
    ] = None
    image: Annotated[
        Amount | None, Meta(description="One image that is made, besides its tokens.")
    ] = None
    second: Annotated[
        Amount | None, Meta(description="A second of audio that is billed by its length.")
    ] = None
    request: Annotated[Amount | None, Meta(description="One call, besides all else.")] = None
    tools: Annotated[
        dict[str, Amount],
        Meta(description='One call of a hosted tool: `{web_search = "0.01"}`.'),
    ] = msgspec.field(default_factory=dict)
    tiers: Annotated[
        dict[str, Amount],
        Meta(
            description='What service tiers multiply tokens with: `{flex = "0.5", priority = '
            '"1.75"}`. Tiers that are not named cost as the dearest that is, but `default`, '
            "`standard` and `auto` as above."
        ),
    ] = msgspec.field(default_factory=dict)
    since: Annotated[
        date | None,
        Meta(
            description="Day (UTC) from which this holds, such as `2026-01-31`; left out: always."
        ),
    ] = None
    above: Annotated[
        int,
        Meta(
            ge=0,
            le=2**53,
            description="Input tokens beyond which this holds, for all tokens of such a call.",
        ),
    ] = 0


class PricesTable(Table, frozen=True):
    """What calls cost, by one `[[prices.models]]` for each model or pattern."""

    version: Annotated[
        Name | None,
        Meta(description="What receipts call these prices; left out: made from them."),
    ] = None
    currency: Annotated[
        Literal["usd", "credits"],
        Meta(description="What the amounts in `[[prices.models]]` are: dollars, or credits."),
    ] = "usd"
    usd_per_credit: Annotated[
        Amount | None,
        Meta(description='What a credit is worth in dollars, such as `"0.01"`.'),
    ] = None
    markup: Annotated[
        Name | None,
        Meta(
            description='What is added to prices in dollars, such as `"50%"`; those in credits are '
            "charged as they are."
        ),
    ] = None
    unpriced: Annotated[
        Literal["refuse", "free"],
        Meta(description="A call of a model that has no price is refused, or costs nothing."),
    ] = "refuse"
    list_prices: Annotated[
        bool,
        Meta(
            description="Take the list prices of genai-prices (veneer[prices]) for models that "
            "have none here."
        ),
    ] = False
    list_providers: Annotated[
        Annotated[list[Name], Meta(min_length=1)],
        Meta(description="Whose list prices, by their ids there; the first go before."),
    ] = msgspec.field(default_factory=lambda: ["openai"])
    models: list[PriceTable] = msgspec.field(default_factory=list)

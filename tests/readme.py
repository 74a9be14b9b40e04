"""The README's parts that are made from code and results; `python -m tests.readme` writes them."""

import re
from functools import partial
from pathlib import Path

from tests.measured import measured
from veneer.auth.stored import StoredKeys
from veneer.config import Config
from veneer.config.build import layers
from veneer.config.cost_tables import BudgetTable
from veneer.config.prices_tables import PricesTable, PriceTable
from veneer.config.ratelimit_tables import PolicyTable, RateLimitTable
from veneer.config.reference import reference
from veneer.keys.peppers import MIN_LENGTH, Peppers
from veneer.layer import Layer
from veneer.stack import Stack
from veneer.stores.memory import MemoryKeyStore
from veneer.wiring import chain

README = Path(__file__).parent.parent / "README.md"


def layers_table() -> str:
    """Return the table of the layers that a configuration with keys, limits and prices stacks."""

    async def app(scope: object, receive: object, send: object) -> None:
        """Stand at the foot of the stack."""

    keys = StoredKeys(MemoryKeyStore(), Peppers({"": bytes(MIN_LENGTH)}, current=""))
    policies = [PolicyTable(limit="1/minute"), PolicyTable(limit="1/minute", unit="tokens")]
    prices = PricesTable(models=[PriceTable(model="*", input="1")])
    config = Config(
        ratelimit=RateLimitTable(policies=policies),
        prices=prices,
        budgets=[BudgetTable(limit="1")],
    )
    stack = Stack(layers(config, verifier=keys), app)
    stacked = [part for part in chain(stack) if isinstance(part, Layer)]
    lines = ["| layer | what it does | reads | writes |", "|---|---|---|---|"]
    for layer in stacked:
        first = (type(layer).__doc__ or "").partition("\n")[0]
        reads, writes = (_names(kinds) for kinds in (layer.reads, layer.writes))
        lines.append(f"| `{type(layer).__name__}` | {first} | {reads} | {writes} |")
    return "\n".join(lines) + "\n"


def _names(kinds: object) -> str:
    return ", ".join(f"`{kind.__name__}`" for kind in kinds) if isinstance(kinds, tuple) else ""


def made(text: str) -> str:
    """Return the README's text with the parts that are made from the code as they should be."""
    parts = {"layers": layers_table(), "options": reference(), "measured": measured()}
    for name, part in parts.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*(<!-- /{name} -->)",
            partial(_between, part),
            text,
            flags=re.DOTALL,
        )
    return text


def _between(part: str, found: re.Match[str]) -> str:
    return f"{found[1]}\n{part}\n{found[2]}"


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    README.write_text(made(README.read_text()))

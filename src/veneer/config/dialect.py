"""The dialect as it is configured: from `[dialect]` to its record."""

from veneer.config.blame import blame
from veneer.config.dialect_tables import DialectTable
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import BRAND, VERSIONS, aurous
from veneer.wiring import ConfigurationError


def build_dialect(table: DialectTable) -> Dialect:
    """Return the dialect; raises `ConfigurationError` where an option is not for it, or bad."""
    for option in ("brand", "versions", "team_versions"):
        if getattr(table, option) is not None and table.name != "aurous":
            raise ConfigurationError(
                f"[dialect] {option} is set, which only 'aurous' has, and name is {table.name!r}."
            )
    if table.error_docs is not None and table.name == "openai":
        raise ConfigurationError(
            "[dialect] error_docs is set, which errors of 'openai' do not name."
        )
    if table.name == "auriko":
        return auriko(docs=table.error_docs, public_lists=table.public_lists)
    if table.name == "openai":
        return OPENAI
    with blame("[dialect]"):
        versions = VERSIONS if table.versions is None else table.versions
        return aurous(
            table.brand or BRAND,
            docs=table.error_docs,
            versions=versions,
            team_versions=table.team_versions,
        )

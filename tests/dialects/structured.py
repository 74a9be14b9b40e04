"""A strict reader of structured fields (RFC 9651 §4.2): Lists and Dictionaries of bare Items."""

import re

Value = str | int
Member = tuple[Value, dict[str, Value]]

STRING = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
INTEGER = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")
COMMA = re.compile(r"[ \t]*,[ \t]*")


class Reader:
    """Reads one field value from its beginning to its end."""

    def __init__(self, field: bytes) -> None:
        self.text = field.decode("ascii")
        self.at = 0

    def take(self, pattern: re.Pattern[str] | str) -> re.Match[str] | None:
        """Go past a pattern, if it is next."""
        match = re.compile(pattern).match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def bare_item(self) -> Value:
        """Read a String or an Integer."""
        if found := self.take(STRING):
            return re.sub(r"\\(.)", r"\1", found[1])
        if found := self.take(INTEGER):
            return int(found[0])
        raise ValueError(f"no item at {self.text[self.at :]!r}")

    def key(self) -> str:
        """Read the name of a parameter or of a member."""
        found = self.take(KEY)
        if found is None:
            raise ValueError(f"no key at {self.text[self.at :]!r}")
        return found[0]

    def item(self) -> Member:
        """Read an Item with its parameters."""
        value = self.bare_item()
        parameters: dict[str, Value] = {}
        while self.take(r"; *"):
            key = self.key()
            if not self.take("="):
                raise ValueError("parameters that are true are none of ours")
            parameters[key] = self.bare_item()
        return value, parameters

    def goes_on(self) -> bool:
        """Tell whether another member follows, and go past the comma."""
        if self.at == len(self.text):
            return False
        if not self.take(COMMA) or self.at == len(self.text):
            raise ValueError(f"no member at {self.text[self.at :]!r}")
        return True


def read_list(field: bytes) -> list[Member]:
    """Read a List of Items."""
    reader = Reader(field)
    members = [reader.item()]
    while reader.goes_on():
        members.append(reader.item())
    return members


def read_dictionary(field: bytes) -> dict[str, Value]:
    """Read a Dictionary of Items without parameters."""
    reader = Reader(field)
    members: dict[str, Value] = {}
    while not members or reader.goes_on():
        key = reader.key()
        if not reader.take("="):
            raise ValueError("members that are true are none of ours")
        members[key] = reader.bare_item()
    return members

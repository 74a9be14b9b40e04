"""Values of JSON, and all the ways in which each may be written."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**200), 2**200)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


class Spelling:
    """Writes a value as JSON, any way that is allowed."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw

    def gap(self) -> str:
        """Return white space, or none."""
        return self.draw(st.sampled_from(["", "", " ", "\n", "\t\r\n "]))

    def text(self, text: str) -> str:
        """Return a string, some of its characters escaped."""
        written = []
        for char in text:
            plain = json.dumps(char, ensure_ascii=False)[1:-1]
            escaped = "".join(
                f"\\u{unit:04{self.draw(st.sampled_from('xX'))}}"
                for unit in memoryview(char.encode("utf-16-le")).cast("H")
            )
            written.append(self.draw(st.sampled_from([plain, escaped])))
        return f'"{"".join(written)}"'

    def number(self, number: Decimal) -> str:
        """Return a number, with or without point and exponent."""
        sign, digits, power = number.as_tuple()
        assert isinstance(power, int)
        text = "".join(map(str, digits)) + "0" * (zeros := self.draw(st.integers(0, 3)))
        power -= zeros
        forms = [f"{int(text[:1])}.{text[1:] or '0'}e{power + len(text) - 1}"]
        forms.append(f"{int(text)}E{power:+d}")
        if power >= 0:
            forms.append(f"{int(text)}{'0' * power if int(text) else ''}")
        else:
            padded = text.zfill(1 - power)
            forms.append(f"{int(padded[:power])}.{padded[power:]}")
        return "-" * sign + self.draw(st.sampled_from(forms))

    def write(self, value: Any) -> str:
        """Return any value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool) or value is None:
            return json.dumps(value)
        if isinstance(value, int | Decimal):
            return self.number(Decimal(value))
        if isinstance(value, list):
            items = [self.gap() + self.write(item) + self.gap() for item in value]
            return f"[{','.join(items)}]"
        members = self.draw(st.permutations(list(value.items())))
        items = [
            f"{self.gap()}{self.text(name)}{self.gap()}:{self.gap()}{self.write(member)}"
            for name, member in members
        ]
        return f"{{{','.join(items)}{self.gap()}}}"


def same(one: Any, other: Any) -> bool:
    """Whether two values of JSON are the same, where Python takes true for 1."""

    def plain(value: Any) -> Any:
        if isinstance(value, bool):
            return ("bool", value)
        if isinstance(value, int | Decimal):
            return ("number", Decimal(value))
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {name: plain(member) for name, member in value.items()}
        return value

    return bool(plain(one) == plain(other))

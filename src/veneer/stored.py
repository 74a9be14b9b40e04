"""What is stored upstream: shared by all who call through one key, so that no call may name it."""

from typing import Any

import msgspec

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.members import ResponsesMembers, may_repeat
from veneer.wire import splice

# Items of a Responses call are looked at one by one, and their members where two may be of a name.
MAX_ITEMS = 10_000
MAX_ITEM_MEMBERS = 64


class Item(msgspec.Struct):
    """The members that make an item of a Responses call a reference to a stored one."""

    id: Any = None
    role: Any = None
    type: Any = None


_items = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(Item)
_QUOTED = tuple(b'"%b"' % name.encode() for name in Item.__struct_fields__)


def refuse_stored(members: ResponsesMembers, *, keeps: bool = True) -> Error | None:
    """Return the error for what reads or leaves something behind the upstream's key.

    `keeps` is whether an answer may be left there, where nobody here can read it.

    Raises what `splice.members` does for an item that can be read in two ways.
    """
    for name in ("background", "previous_response_id", "conversation"):
        if bytes(getattr(members, name)) not in (b"", b"null", b"false"):
            return Error(
                Kind.UNSUPPORTED_PARAMETER,
                f"'{name}' is not served here: every call carries its whole input.",
                param=name,
            )
    if not keeps and bytes(members.store) == b"true":
        return Error(Kind.UNSUPPORTED_PARAMETER, "Answers are not stored here.", param="store")
    given = bytes(members.input)
    # An item without a type is a reference too, if it has an id and no role.
    if given[:1] == b"[" and (b"item_reference" in given or b'"id"' in given or b"\\u" in given):
        items = _items.decode(given)
        if len(items) > MAX_ITEMS:
            return Error(
                Kind.INVALID_VALUE, f"'input' has more than {MAX_ITEMS} items.", param="input"
            )
        for index, item in enumerate(items):
            if _is_reference(bytes(item)):
                return Error(
                    Kind.UNSUPPORTED_PARAMETER,
                    "Items are not stored here: send the item itself.",
                    param=f"input[{index}]",
                )
    return None


def _is_reference(text: bytes) -> bool:
    if text[:1] != b"{":
        return False
    item = _item.decode(text)
    if may_repeat(text, _QUOTED):
        splice.members(text, frozenset(Item.__struct_fields__), most=MAX_ITEM_MEMBERS)
    return item.type == "item_reference" or (item.type is None and item.role is None)

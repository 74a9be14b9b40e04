"""The output of a response of the Responses API, as far as it is text."""

import msgspec


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Item(msgspec.Struct):
    type: str = ""
    content: list[_Part] | None = None


class _Response(msgspec.Struct):
    output: list[_Item] | None = None


_response = msgspec.json.Decoder(_Response)


def output_text(data: bytes) -> str | None:
    """Return the text of all messages in a response, as OpenAI's client puts it together.

    None for what is no response with an output.
    """
    try:
        output = _response.decode(data).output
    except (msgspec.DecodeError, RecursionError):
        return None
    if output is None:
        return None
    return "".join(
        part.text
        for item in output
        if item.type == "message"
        for part in item.content or ()
        if part.type == "output_text"
    )

"""What every client is asked to do here, and what the demo model makes of it."""

from typing import Literal

from pydantic import BaseModel

# The model repeats what it is told, and calls a tool whose name it is told.
SAID = "one two"
REPEATED = 'You said "one two".'
CALLING = "call get_weather, please"
SUNNY = "sunny"
TOLD = 'The tool answered "sunny".'


class Weather(BaseModel):
    """What is asked for as JSON."""

    city: str
    sky: Literal["clear", "grey"]
    degrees: float
    days: list[int]


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    assert city
    return SUNNY

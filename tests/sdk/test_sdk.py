"""The package: its names, and what it needs."""

import subprocess
import sys

import openai
import pytest

from veneer import sdk

WITHOUT = """
import sys
sys.modules["openai"] = None
import veneer.sdk
from veneer.sdk import parse_receipt, parse_routing_metadata, map_openai_error
assert parse_receipt({"usage": {"cost": 1}})
assert map_openai_error(ValueError("x"))
try:
    from veneer.sdk import AsyncOpenAI
except ImportError as error:
    print(error)
"""


def test_every_name_is_there_and_says_what_it_is_for() -> None:
    for name in sdk.__all__:
        assert getattr(sdk, name).__doc__, name


def test_the_clients_are_openais() -> None:
    assert issubclass(sdk.OpenAI, openai.OpenAI)
    assert issubclass(sdk.AsyncOpenAI, openai.AsyncOpenAI)


def test_there_are_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'AzureOpenAI'"):
        getattr(sdk, "AzureOpenAI")  # noqa: B009 - type checkers know that it is not there


def test_without_openai_all_but_the_clients_work_and_they_say_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, check=True, text=True
    )
    needed = "veneer.sdk.AsyncOpenAI needs the package openai: install veneer[openai]."
    assert done.stdout.strip() == needed


def test_importing_it_does_not_import_openai() -> None:
    code = "import sys, veneer, veneer.sdk; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"

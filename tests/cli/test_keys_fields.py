"""What is read from the command line of `veneer keys create`."""

from datetime import UTC, datetime, timedelta

from veneer.cli.arguments import parser
from veneer.cli.keys_fields import fields_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_what_is_not_given_is_left_to_the_default() -> None:
    fields = fields_of(parser().parse_args(["keys", "create", "--name", "x"]), NOW)
    assert fields.scopes == {"write"}
    assert (fields.operations, fields.models, fields.expires_at) == (None, None, None)


def test_a_length_of_time_ends_a_key_from_now() -> None:
    arguments = ["keys", "create", "--name", "x", "--expires-in", "90d"]
    assert fields_of(parser().parse_args(arguments), NOW).expires_at == NOW + timedelta(days=90)

"""The TLS context for upstreams."""

import ssl
from pathlib import Path

import pytest
import trustme

from veneer.upstream.tls import client_context


def test_a_context_verifies_and_knows_only_the_authority_given(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    context = client_context(ca_file)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_certificates_is_a_mistake(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ValueError, match=r"PEM .*ca\.pem"):
        client_context(ca_file)

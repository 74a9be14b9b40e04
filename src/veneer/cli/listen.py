"""The listening socket, taken before anything else is begun."""

import errno
import ipaddress
import socket

from veneer.wiring import ConfigurationError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; connections queue there until somebody accepts them.

    Raises `ConfigurationError` with a sentence that says why it cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigurationError(f"the host {host!r} is not known; give an address.") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_sentence(error, host, port)) from error
    listener.settimeout(0)
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on a host; an unknown name is not loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(listener: socket.socket) -> str:
    """Return the URL that a client on this machine gives as its base."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - turned to loopback
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what uses it, or give another --port."
    if error.errno == errno.EACCES:
        return f"port {port} on {host} is not ours to take: give a --port above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: give another --host."
    return f"{host} port {port} cannot be listened on: {error.strerror}."

"""nginx, as the floor that proxies are compared with and as an upstream that costs little."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from rig.processes import Process, free_port, running, until_listening

CONFIG = """\
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr error;
pid {home}/nginx.pid;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    client_max_body_size 0;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    {servers}
}}
"""

ANSWERING = """\
server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 '{body}'; }}
}}
"""

PROXYING = """\
upstream model {{
    server {upstream};
    keepalive 512;
    keepalive_requests 1000000000;
}}
server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
        proxy_pass http://model;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering {buffering};
        proxy_request_buffering {buffering};
        proxy_read_timeout 300s;
    }}
}}
"""


def missing() -> str | None:
    """Return what to say where there is no nginx."""
    return None if which("nginx") else "nginx is not on PATH (Debian: apt install nginx-light)"


@contextmanager
def answering(body: str, cpus: set[int] | None) -> Iterator[str]:
    """Answer every request with this JSON; gives the origin, as `http://127.0.0.1:8000`."""
    port = free_port()
    with _running(ANSWERING.format(port=port, body=body), port, cpus):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def proxying(
    upstream: str, cpus: set[int] | None, *, buffering: bool = True
) -> Iterator[tuple[str, Process]]:
    """Be a reverse proxy to an origin, without buffering for streams; gives origin and process."""
    port = free_port()
    servers = PROXYING.format(
        port=port,
        upstream=upstream.removeprefix("http://"),
        buffering="on" if buffering else "off",
    )
    with _running(servers, port, cpus) as process:
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def _running(servers: str, port: int, cpus: set[int] | None) -> Iterator[Process]:
    with TemporaryDirectory() as home:
        config = Path(home, "nginx.conf")
        config.write_text(CONFIG.format(home=home, files=8192, servers=servers))
        command = ["nginx", "-p", home, "-e", "stderr", "-c", str(config)]
        with running(command, cpus) as process:
            until_listening(process, port)
            yield process

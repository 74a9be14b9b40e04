"""`veneer demo`: the layers around a demo model, in one process, without keys."""

from argparse import Namespace
from socket import socket

from veneer.cli import logs, server
from veneer.cli.listen import base_url, listen
from veneer.config import build, parse
from veneer.demo import DEFAULT_MODELS, DemoServer
from veneer.layers.health import HealthMiddleware
from veneer.wiring import ConfigurationError

PORT = 8080
# Seconds between the events of a stream: enough to see that it is one.
EVENT_INTERVAL = 0.03

GREETING = """\
A demo model (no real one: its answers are made from your words) is served at

    {url}

Try it with curl:

    curl -N {url}/chat/completions \\
      -H 'Content-Type: application/json' \\
      -d '{{"model": "{model}", "stream": true,
           "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or with Python (pip install openai):

    from openai import OpenAI

    client = OpenAI(base_url="{url}", api_key="none-needed")
    answer = client.chat.completions.create(
        model="{model}",
        messages=[{{"role": "user", "content": "Hello!"}}],
    )
    print(answer.choices[0].message.content)

Ctrl-C stops it. Each call leaves a line here:
"""


def run(given: Namespace) -> int:
    """Serve the demo until told to stop; raises `ConfigurationError` where that cannot begin."""
    flags = {"host": given.host} | ({} if given.port is None else {"port": given.port})
    config = parse({}, {"serve": flags})
    app = HealthMiddleware(build(config, DemoServer(event_interval=EVENT_INTERVAL)))
    listener = _listen(config.serve.host, given.port)
    logs.configure()
    print(
        GREETING.format(url=base_url(listener), model=DEFAULT_MODELS[0].id),
        flush=True,
    )
    return server.run(app, config, listener)


def _listen(host: str, port: int | None) -> socket:
    """Listen on the port asked for; on the usual one or any other, where none was."""
    if port is not None:
        return listen(host, port)
    try:
        return listen(host, PORT)
    except ConfigurationError:
        return listen(host, 0)

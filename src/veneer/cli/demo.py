"""`veneer demo`: the layers around a demo model, in one process, with a key of its own."""

import asyncio
import os
from argparse import Namespace
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

from veneer.auth.stored import StoredKeys
from veneer.cli import logs, server
from veneer.cli.embedded import with_ledger
from veneer.cli.listen import base_url, listen
from veneer.config import Config, build, parse
from veneer.demo import DEFAULT_MODELS, DemoServer
from veneer.keys.issuer import Issuer, KeyFields
from veneer.keys.peppers import MIN_LENGTH, Peppers
from veneer.layers.health import HealthMiddleware
from veneer.stores.memory import MemoryKeyStore
from veneer.wiring import ConfigurationError

PORT = 8080
# Seconds between the events of a stream: enough to see that it is one.
EVENT_INTERVAL = 0.03

GREETING = """\
A demo model (no real one: its answers are made from your words) is served at

    {url}

for whoever has this key, which is as short-lived as the demo:

    {key}

Try it with curl:

    curl -N {url}/chat/completions \\
      -H 'Authorization: Bearer {key}' \\
      -H 'Content-Type: application/json' \\
      -d '{{"model": "{model}", "stream": true,
           "messages": [{{"role": "user", "content": "Hello!"}}]}}'

or with Python (pip install openai):

    from openai import OpenAI

    client = OpenAI(base_url="{url}", api_key="{key}")
    answer = client.chat.completions.create(
        model="{model}",
        messages=[{{"role": "user", "content": "Hello!"}}],
    )
    print(answer.choices[0].message.content)

What calls have cost, while the demo runs:

    veneer usage --by model --ledger {ledger}

Ctrl-C stops it. Each call leaves a line here:
"""


def run(given: Namespace) -> int:
    """Serve the demo until told to stop; raises `ConfigurationError` where that cannot begin."""
    flags = {"host": given.host} | ({} if given.port is None else {"port": given.port})
    # Dollars for a million tokens, so that answers have receipts.
    prices = {"version": "demo", "models": [{"model": "*", "input": "0.15", "output": "0.60"}]}
    config = parse({"prices": prices}, {"serve": flags})
    with TemporaryDirectory(prefix="veneer-demo-") as folder:
        return _serve(with_ledger(config, Path(folder)), given)


def _serve(config: Config, given: Namespace) -> int:
    keys, key = _first_key()
    model = DemoServer(
        event_interval=EVENT_INTERVAL,
        prompt_cache=given.prompt_cache,
        prefill_tps=given.prefill_tps,
    )
    app = HealthMiddleware(build(config, model, verifier=keys))
    listener = _listen(config.serve.host, given.port)
    logs.configure()
    print(
        GREETING.format(
            url=base_url(listener),
            key=key,
            model=DEFAULT_MODELS[0].id,
            ledger=config.cost.ledger,
        ),
        flush=True,
    )
    return server.run(app, config, listener)


def _first_key() -> tuple[StoredKeys, str]:
    """Return a store's keys, of which there is one, and that one."""
    store = MemoryKeyStore()
    peppers = Peppers({"demo": os.urandom(MIN_LENGTH)}, current="demo")
    issued = asyncio.run(Issuer(store, peppers).create(KeyFields(name="demo")))
    return StoredKeys(store, peppers), issued.token


def _listen(host: str, port: int | None) -> socket:
    """Listen on the port asked for; on the usual one or any other, where none was."""
    if port is not None:
        return listen(host, port)
    try:
        return listen(host, PORT)
    except ConfigurationError:
        return listen(host, 0)

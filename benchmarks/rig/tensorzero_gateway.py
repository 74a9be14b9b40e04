"""TensorZero's gateway, run by its own Python: `tensorzero_gateway.py CONFIG`.

The package has it only as a private function, which chooses the port itself: it is said in a
line of its own.
"""

import signal
import sys
from importlib import import_module

gateway = import_module("tensorzero.tensorzero")._start_http_gateway(  # noqa: SLF001 - as above
    config_file=sys.argv[1],
    clickhouse_url=None,
    postgres_url=None,
    valkey_url=None,
    async_setup=False,
)
print(gateway.base_url, flush=True)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
while True:
    signal.pause()

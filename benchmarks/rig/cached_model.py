"""A replica of a model server: the demo model, which caches prompts and takes time for the rest."""

from veneer.demo import DemoServer

app = DemoServer(prompt_cache=True, prefill_tps=40_000)

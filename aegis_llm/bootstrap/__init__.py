"""Prepares a machine for RAG on Ollama: finds out, advises, writes, applies, verifies and warms.

```python
from aegis_llm import bootstrap

facts = bootstrap.probe()
advice = bootstrap.advise(facts, bootstrap.Workload(concurrent=4, models=("llama3.1:8b",)))
print(bootstrap.render(advice.environment, "systemd"))
change = bootstrap.plan_change(facts, advice.environment)
bootstrap.apply(change)
bootstrap.verify(bootstrap.probe(), advice.environment)
```

`bootstrap.bootstrap(llm)` prepares the models, the index and the shared prefix of an application.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

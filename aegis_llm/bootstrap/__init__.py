"""Prepares a machine for RAG on Ollama: finds out, advises, writes, applies, verifies and warms.

```python
from aegis_llm import bootstrap

facts = bootstrap.probe()
advice = bootstrap.advise(facts, bootstrap.Workload(concurrent=4, models=("llama3.1:8b",)))
print(bootstrap.render(advice.environment, "systemd"))

change = bootstrap.plan_change(facts, advice.environment)
print(change.diff)
bootstrap.apply(change)
print(bootstrap.verify(bootstrap.probe(), advice.environment).in_force)
```

`bootstrap.bootstrap(llm)` prepares the models, the index and the shared prefix of an application.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis_llm.bootstrap.advice import Advice, Budget, BudgetLine, ModelPlan, Setting, Workload
    from aegis_llm.bootstrap.advising import (
        PROFILES,
        advise,
        profile,
        study_2025,
        workload_of_trace,
    )
    from aegis_llm.bootstrap.applying import (
        Applied,
        Change,
        apply,
        plan_change,
        plan_revert,
        revert,
    )
    from aegis_llm.bootstrap.doctor import examine
    from aegis_llm.bootstrap.facts import Facts, ModelFacts
    from aegis_llm.bootstrap.learned import learned_workload
    from aegis_llm.bootstrap.linting import Finding, lint
    from aegis_llm.bootstrap.probing import probe, read_facts
    from aegis_llm.bootstrap.quantizing import Quantizations, quantizations
    from aegis_llm.bootstrap.rendering import FORMS, parse, render
    from aegis_llm.bootstrap.verifying import Verdict, Verification, verify
    from aegis_llm.bootstrap.warming import Warmed, abootstrap, bootstrap

_PARTS = {
    "advice": ("Advice", "Budget", "BudgetLine", "ModelPlan", "Setting", "Workload"),
    "advising": ("PROFILES", "advise", "profile", "study_2025", "workload_of_trace"),
    "applying": ("Applied", "Change", "apply", "plan_change", "plan_revert", "revert"),
    "doctor": ("examine",),
    "facts": ("Facts", "ModelFacts"),
    "learned": ("learned_workload",),
    "linting": ("Finding", "lint"),
    "probing": ("probe", "read_facts"),
    "quantizing": ("Quantizations", "quantizations"),
    "rendering": ("FORMS", "parse", "render"),
    "verifying": ("Verdict", "Verification", "verify"),
    "warming": ("Warmed", "abootstrap", "bootstrap"),
}
_HOMES = {name: part for part, names in _PARTS.items() for name in names}

__all__ = [
    "FORMS",
    "PROFILES",
    "Advice",
    "Applied",
    "Budget",
    "BudgetLine",
    "Change",
    "Facts",
    "Finding",
    "ModelFacts",
    "ModelPlan",
    "Quantizations",
    "Setting",
    "Verdict",
    "Verification",
    "Warmed",
    "Workload",
    "abootstrap",
    "advise",
    "apply",
    "bootstrap",
    "examine",
    "learned_workload",
    "lint",
    "parse",
    "plan_change",
    "plan_revert",
    "probe",
    "profile",
    "quantizations",
    "read_facts",
    "render",
    "revert",
    "study_2025",
    "verify",
    "workload_of_trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""What to set on a server that is not here yet, and what its memory goes to."""

from aegis_llm import bootstrap

facts = bootstrap.profile("dgx-spark")  # bootstrap.probe() for this machine
work = bootstrap.Workload(
    concurrent=4, prompt_tokens=3000, output_tokens=500, models=("llama3.1:8b", "nomic-embed-text")
)
advice = bootstrap.advise(facts, work)
for setting in advice.settings:
    print(f"{setting.name}={setting.value or ''}  # {setting.reason}")
print(f"fits: {advice.fits}, {advice.budget.used / 2**30:.2f} GiB used")
print(bootstrap.render(advice.environment, "compose", models=advice.models))

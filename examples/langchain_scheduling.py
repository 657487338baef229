"""Sixteen questions at once over two documents, sent so that Ollama reads each document once.

Needs an Ollama with `llama3.1:8b` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL).
"""

from langchain_core.prompts import ChatPromptTemplate

from aegis_llm import AegisConfig, queues, scheduling
from langchain_aegis import ChatAegis

FACTS = {
    "shop": "The refund period is 30 days. " * 40,
    "plant": "The relay valve opens under two bar. " * 40,
}
prompt = ChatPromptTemplate.from_messages([("system", "Context: {context}"), ("human", "{q}")])
llm = ChatAegis(model="llama3.1:8b", aegis=AegisConfig.from_env())
chain = prompt | llm

asked = [{"context": FACTS[name], "q": f"Question {n}?"} for n in range(8) for name in FACTS]
answers = chain.batch(asked)

with scheduling(priority=10, deadline_s=30):  # goes before what others have waiting
    chain.invoke({"context": FACTS["shop"], "q": "How long is the refund period?"})

state = queues()[0].models["llama3.1:8b"]
print(f"{len(answers)} answers; {state.sent} sent, {state.waiting} waiting, slots: {state.slots}")

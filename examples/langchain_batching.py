"""Requests of many threads, answered by few calls.

Needs an Ollama with `all-minilm` (OLLAMA_HOST).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from langchain_core.runnables import Runnable
from langchain_ollama import OllamaEmbeddings

from langchain_aegis import BatchingRunnable

embeddings = OllamaEmbeddings(model="all-minilm")
TOPICS = ["refund of a payment", "delivery of a parcel", "password of an account"]
calls: list[int] = []


class Topic(Runnable[str, str]):
    """Says what a message is about; one call to Ollama answers any number of messages."""

    def __init__(self) -> None:
        self.vectors = np.array(embeddings.embed_documents(TOPICS))

    def invoke(self, input, config=None, **kwargs):
        return self.batch([input])[0]

    def batch(self, inputs, config=None, **kwargs):
        calls.append(len(inputs))
        nearest = np.array(embeddings.embed_documents(inputs)) @ self.vectors.T
        return [TOPICS[place] for place in nearest.argmax(axis=1)]


topic = BatchingRunnable(Topic())  # the one line to add: whoever calls it calls together

messages = ["Where is my parcel?", "I cannot log in", "I want my money back"] * 20
with ThreadPoolExecutor(len(messages)) as pool:
    told = list(pool.map(topic.invoke, messages))
for message, about in list(zip(messages, told, strict=True))[:3]:
    print(f"{message:22} {about}")
print(f"{len(calls)} calls for {len(messages)} messages")

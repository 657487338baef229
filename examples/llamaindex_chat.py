"""A LlamaIndex chat engine over documents, streamed, whose repeated turns come from Redis.

Needs `pip install '.[llama-index]'`, an Ollama with `llama3.1:8b` and `all-minilm`
(`OLLAMA_HOST`, else this machine) and a Redis (`AEGIS_REDIS_URL`, else this machine).
"""

import os

from llama_index.core import Document, Settings, VectorStoreIndex

from aegis_llm import AegisConfig, observe
from llama_index.llms.aegis import AegisEmbedding, AegisOllama

config = AegisConfig.from_env()
server = os.environ.get("OLLAMA_HOST", "http://localhost:11434")
Settings.embed_model = AegisEmbedding("all-minilm", base_url=server, aegis=config)
Settings.llm = AegisOllama(  # was: Ollama(model="llama3.1:8b")
    model="llama3.1:8b",
    base_url=server,
    context_window=4096,
    embed_model=Settings.embed_model,
    aegis=config,
)
index = VectorStoreIndex.from_documents(
    [
        Document(id_="returns", text="Returns are accepted within 30 days of delivery."),
        Document(id_="shipping", text="Standard shipping takes 5 days inside the country."),
    ]
)
for visitor in ("Anna", "Ben"):  # each has a conversation of their own
    chat = index.as_chat_engine(chat_mode="context", similarity_top_k=1)
    for question in ("How long does shipping take?", "Within how many days can I return it?"):
        with observe() as seen:
            answer = "".join(chat.stream_chat(question).response_gen)
        print(f"{visitor}: {seen[-1].outcome:13} {question}  {answer}")
print(f"{Settings.llm.invalidate(document='shipping')} answers were made from the edited document")

"""A whole retrieval chain behind its question: a hit skips the retrieval, too.

Needs an Ollama with `llama3.1:8b` and `all-minilm` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL).
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ollama import ChatOllama, OllamaEmbeddings

from aegis_llm import AegisConfig, observe
from langchain_aegis import cache_chain

embeddings = OllamaEmbeddings(model="all-minilm")
texts = ["The refund period is 30 days.", "The head office is located in Bergen."]
retriever = InMemoryVectorStore.from_texts(texts, embeddings).as_retriever()
prompt = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\nContext:\n{context}"), ("human", "{question}")]
)
found = {"context": retriever, "question": RunnablePassthrough()}
chain = found | prompt | ChatOllama(model="llama3.1:8b") | StrOutputParser()
# The one line to add. The name lets other processes find the answers: a new one for a new chain.
cached = cache_chain(chain, name="faq-1", embeddings=embeddings, aegis=AegisConfig.from_env())

for question in ("Where is the head office?",) * 2 + ("Where is the head office located?",):
    with observe() as seen:
        answer = cached.invoke(question)
    print(f"{seen[-1].outcome:13} {question} {answer}")

"""A retrieval chain that is answered from Redis when a question comes again.

Needs an Ollama with `llama3.1:8b` and `all-minilm` (OLLAMA_HOST) and a Redis (AEGIS_REDIS_URL).
"""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ollama import OllamaEmbeddings

from aegis_llm import AegisConfig, observe
from langchain_aegis import ChatAegis

embeddings = OllamaEmbeddings(model="all-minilm")
texts = ["The refund period is 30 days.", "The head office is located in Bergen."]
retriever = InMemoryVectorStore.from_texts(texts, embeddings).as_retriever()
prompt = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\nContext:\n{context}"), ("human", "{question}")]
)
# The one line to change: ChatOllama(model="llama3.1:8b") before.
llm = ChatAegis(model="llama3.1:8b", embeddings=embeddings, aegis=AegisConfig.from_env())
found = {"context": retriever, "question": RunnablePassthrough()}
chain = found | prompt | llm | StrOutputParser()

for question in ("Where is the head office?",) * 2 + ("Where is the head office located?",):
    with observe() as seen:
        answer = chain.invoke(question)
    print(f"{seen[0].outcome:13} {question} {answer}")

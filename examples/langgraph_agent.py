"""A LangGraph agent whose steps are answered from Redis when they repeat; its tools run again.

Needs `pip install '.[agents]'`, an Ollama with `llama3.1:8b` (OLLAMA_HOST) and a Redis
(AEGIS_REDIS_URL).
"""

from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from aegis_llm import AegisConfig, observe
from langchain_aegis import ChatAegis


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    print(f"  the tool runs: {city}")
    return f"sunny in {city}"


tools = [weather]
# The one line to change: ChatOllama(model="llama3.1:8b") before.
llm = ChatAegis(model="llama3.1:8b", temperature=0, aegis=AegisConfig.from_env()).bind_tools(tools)


def think(state: MessagesState) -> dict[str, list]:
    return {"messages": [llm.invoke(state["messages"])]}


graph = StateGraph(MessagesState)
graph.add_node("think", think)
graph.add_node("tools", ToolNode(tools))
graph.add_edge(START, "think")
graph.add_conditional_edges("think", tools_condition)
graph.add_edge("tools", "think")
agent = graph.compile()

question = "What is the weather in Paris? Use the weather tool."
for turn in ("first", "again"):
    with observe() as seen:
        state = agent.invoke({"messages": [("human", question)]})
    print(f"{turn}: {' '.join(seen.outcomes)}  {state['messages'][-1].text}")

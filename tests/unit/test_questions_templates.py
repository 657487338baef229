"""Every prompt that LangChain and LlamaIndex ship, rendered by them, gives its question or none.

A template that a new version adds belongs to one of the tables: found, none, or a part of a
prompt that is never sent by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import warnings
from typing import Any

import langchain_classic
import llama_index.core
import pytest
from langchain_core.prompts import BasePromptTemplate as LangChainTemplate
from langchain_ollama import ChatOllama
from llama_index.core.base.llms.types import ChatMessage, TextBlock
from llama_index.core.prompts import BasePromptTemplate as LlamaTemplate
from llama_index.core.prompts import PromptTemplate
from llama_index.llms.ollama import Ollama

from aegis_llm.questions import NoQuestion, Split, find_question

LANGCHAIN_FOUND = """
    agents.react.base: WIKI_PROMPT
    agents.self_ask_with_search.base: PROMPT
    chains.api.base: API_RESPONSE_PROMPT API_URL_PROMPT
    chains.chat_vector_db.prompts: CONDENSE_QUESTION_PROMPT QA_PROMPT
    chains.conversation.base: PROMPT
    chains.conversation.prompt: ENTITY_MEMORY_CONVERSATION_TEMPLATE
    chains.conversational_retrieval.base: CONDENSE_QUESTION_PROMPT
    chains.conversational_retrieval.prompts: QA_PROMPT
    chains.elasticsearch_database.base: ANSWER_PROMPT DSL_PROMPT
    chains.flare.base: PROMPT
    chains.hyde.prompts: dbpedia_entity fiqa mr_tydi trec_covid web_search
    chains.llm_checker.base: CREATE_DRAFT_ANSWER_PROMPT
    chains.llm_math.base: PROMPT
    chains.qa_with_sources.base: COMBINE_PROMPT QUESTION_PROMPT
    chains.qa_with_sources.loading: MAP_RERANK_PROMPT
    chains.qa_with_sources.refine_prompts: DEFAULT_REFINE_PROMPT DEFAULT_TEXT_QA_PROMPT
    chains.qa_with_sources.stuff_prompt: PROMPT
    chains.question_answering.map_reduce_prompt: CHAT_COMBINE_PROMPT CHAT_QUESTION_PROMPT
        COMBINE_PROMPT QUESTION_PROMPT
    chains.question_answering.refine_prompts: CHAT_QUESTION_PROMPT DEFAULT_REFINE_PROMPT
        DEFAULT_TEXT_QA_PROMPT
    chains.question_answering.stuff_prompt: CHAT_PROMPT PROMPT
    chains.retrieval_qa.prompt: PROMPT
    chains.sql_database.prompt: CLICKHOUSE_PROMPT CRATEDB_PROMPT DECIDER_PROMPT DUCKDB_PROMPT
        GOOGLESQL_PROMPT MARIADB_PROMPT MSSQL_PROMPT MYSQL_PROMPT ORACLE_PROMPT POSTGRES_PROMPT
        PRESTODB_PROMPT PROMPT SQLITE_PROMPT
    retrievers.document_compressors.listwise_rerank: _DEFAULT_PROMPT
    retrievers.multi_query: DEFAULT_QUERY_PROMPT
    retrievers.re_phraser: DEFAULT_QUERY_PROMPT
"""
LANGCHAIN_NONE = """
    agents.react.base: TEXTWORLD_PROMPT
    chains.constitutional_ai.base: CRITIQUE_PROMPT REVISION_PROMPT
    chains.conversation.prompt: ENTITY_EXTRACTION_PROMPT ENTITY_SUMMARIZATION_PROMPT
        KNOWLEDGE_TRIPLE_EXTRACTION_PROMPT SUMMARY_PROMPT
    chains.flare.base: QUESTION_GENERATOR_PROMPT
    chains.hyde.prompts: arguana sci_fact trec_news
    chains.llm_checker.base: CHECK_ASSERTIONS_PROMPT LIST_ASSERTIONS_PROMPT REVISED_ANSWER_PROMPT
    chains.llm_summarization_checker.base: ARE_ALL_TRUE_PROMPT CHECK_ASSERTIONS_PROMPT
        CREATE_ASSERTIONS_PROMPT REVISED_SUMMARY_PROMPT
    chains.natbot.base: PROMPT
    chains.qa_generation.prompt: CHAT_PROMPT PROMPT
    chains.question_answering.refine_prompts: CHAT_REFINE_PROMPT
    chains.summarize.map_reduce_prompt: PROMPT
    chains.summarize.refine_prompts: PROMPT REFINE_PROMPT
    chains.summarize.stuff_prompt: PROMPT
    evaluation.agents.trajectory_eval_chain: EVAL_CHAT_PROMPT TOOL_FREE_EVAL_CHAT_PROMPT
    evaluation.comparison.eval_chain: COMPARISON_TEMPLATE COMPARISON_TEMPLATE_WITH_REFERENCE
    evaluation.criteria.eval_chain: PROMPT PROMPT_WITH_REFERENCES
    evaluation.qa.eval_chain: CONTEXT_PROMPT COT_PROMPT PROMPT
    evaluation.qa.eval_prompt: SQL_PROMPT
    evaluation.qa.generate_chain: PROMPT
    evaluation.scoring.eval_chain: SCORING_TEMPLATE SCORING_TEMPLATE_WITH_REFERENCE
    indexes.prompts.entity_extraction: ENTITY_EXTRACTION_PROMPT
    indexes.prompts.entity_summarization: ENTITY_SUMMARIZATION_PROMPT
    indexes.prompts.knowledge_triplet_extraction: KNOWLEDGE_TRIPLE_EXTRACTION_PROMPT
    output_parsers.fix: NAIVE_FIX_PROMPT
    output_parsers.retry: NAIVE_RETRY_PROMPT NAIVE_RETRY_WITH_ERROR_PROMPT
"""
LANGCHAIN_PARTS = """
    chains.combine_documents.base: DEFAULT_DOCUMENT_PROMPT
    chains.constitutional_ai.prompts: critique_example revision_example
    chains.qa_with_sources.base: EXAMPLE_PROMPT
    chains.qa_with_sources.refine_prompts: EXAMPLE_PROMPT
    chains.qa_with_sources.stuff_prompt: EXAMPLE_PROMPT
    chains.query_constructor.base: DEFAULT_SCHEMA_PROMPT EXAMPLE_PROMPT SCHEMA_WITH_LIMIT_PROMPT
        USER_SPECIFIED_EXAMPLE_PROMPT
"""
LLAMA_INDEX_FOUND = """
    chat_engine.condense_plus_context: DEFAULT_CONDENSE_PROMPT_TEMPLATE
    chat_engine.condense_question: DEFAULT_PROMPT
    chat_engine.multi_modal_condense_plus_context: DEFAULT_TEXT_QA_PROMPT
    evaluation.correctness: DEFAULT_EVAL_TEMPLATE DEFAULT_USER_TEMPLATE
    evaluation.pairwise: DEFAULT_EVAL_TEMPLATE DEFAULT_USER_TEMPLATE
    graph_stores.prompts: DEFAULT_CYPHER_TEMPALTE
    indices.common.struct_store.base: DEFAULT_REFINE_TABLE_CONTEXT_PROMPT_SEL
        DEFAULT_TABLE_CONTEXT_PROMPT
    indices.document_summary.retrievers: DEFAULT_CHOICE_SELECT_PROMPT
    indices.empty.retrievers: DEFAULT_SIMPLE_INPUT_PROMPT
    indices.property_graph.sub_retrievers.llm_synonym: DEFAULT_SYNONYM_EXPAND_TEMPLATE
    indices.property_graph.sub_retrievers.text_to_cypher: DEFAULT_SUMMARY_TEMPLATE
    indices.query.query_transform.base: DEFAULT_HYDE_PROMPT
    indices.struct_store.json_query: DEFAULT_RESPONSE_SYNTHESIS_PROMPT
    indices.struct_store.sql_query: DEFAULT_REFINE_PROMPT DEFAULT_RESPONSE_SYNTHESIS_PROMPT
        DEFAULT_RESPONSE_SYNTHESIS_PROMPT_V2 DEFAULT_TEXT_TO_SQL_PGVECTOR_PROMPT
        DEFAULT_TEXT_TO_SQL_PROMPT
    indices.tree.select_leaf_retriever: DEFAULT_QUERY_PROMPT DEFAULT_QUERY_PROMPT_MULTIPLE
        DEFAULT_REFINE_PROMPT_SEL
    postprocessor.llm_rerank: CHAT_CONTENT_CHOICE_SELECT_PROMPT
    postprocessor.structured_llm_rerank: STRUCTURED_CHOICE_SELECT_PROMPT
    prompts.chat_prompts: CHAT_CONTENT_QA_PROMPT CHAT_CONTENT_REFINE_PROMPT
        CHAT_CONTENT_TREE_SUMMARIZE_PROMPT CHAT_REFINE_PROMPT CHAT_SIMPLE_INPUT_PROMPT
        CHAT_TEXT_QA_PROMPT CHAT_TREE_SUMMARIZE_PROMPT
    prompts.default_prompt_selectors: DEFAULT_REFINE_TABLE_CONTEXT_PROMPT
        DEFAULT_TEXT_QA_PROMPT_SEL DEFAULT_TREE_SUMMARIZE_PROMPT DEFAULT_TREE_SUMMARIZE_PROMPT_SEL
    prompts.default_prompts: DEFAULT_JSONALYZE_PROMPT
    query_engine.citation_query_engine: CITATION_CHAT_CONTENT_QA_TEMPLATE
        CITATION_CHAT_CONTENT_REFINE_TEMPLATE CITATION_QA_TEMPLATE CITATION_REFINE_TEMPLATE
    query_engine.flare.base: DEFAULT_INSTRUCT_PROMPT
    query_engine.knowledge_graph_query_engine: DEFAULT_KG_RESPONSE_ANSWER_PROMPT
    query_engine.sql_join_query_engine: DEFAULT_SQL_JOIN_SYNTHESIS_PROMPT
    query_engine.sql_vector_query_engine: DEFAULT_SQL_VECTOR_SYNTHESIS_PROMPT
    retrievers.fusion_retriever: QUERY_GEN_PROMPT
    selectors.prompts: DEFAULT_MULTIPLE_SELECT_PROMPT DEFAULT_MULTI_PYD_SELECT_PROMPT_TMPL
        DEFAULT_SINGLE_PYD_SELECT_PROMPT_TMPL DEFAULT_SINGLE_SELECT_PROMPT
"""
LLAMA_INDEX_NONE = """
    evaluation.answer_relevancy: DEFAULT_EVAL_TEMPLATE
    evaluation.context_relevancy: DEFAULT_EVAL_TEMPLATE DEFAULT_REFINE_TEMPLATE
    evaluation.dataset_generation: DEFAULT_QUESTION_GENERATION_PROMPT
    evaluation.faithfulness: DEFAULT_EVAL_TEMPLATE DEFAULT_REFINE_TEMPLATE LLAMA3_8B_EVAL_TEMPLATE
    evaluation.guideline: DEFAULT_EVAL_TEMPLATE
    evaluation.multi_modal.faithfulness: DEFAULT_EVAL_TEMPLATE DEFAULT_REFINE_TEMPLATE
    evaluation.multi_modal.relevancy: DEFAULT_EVAL_TEMPLATE DEFAULT_REFINE_TEMPLATE
    evaluation.relevancy: DEFAULT_EVAL_TEMPLATE DEFAULT_REFINE_TEMPLATE
    indices.keyword_table.base: DEFAULT_KEYWORD_EXTRACT_TEMPLATE
        DEFAULT_QUERY_KEYWORD_EXTRACT_TEMPLATE
    indices.knowledge_graph.base: DEFAULT_KG_TRIPLET_EXTRACT_PROMPT
    indices.knowledge_graph.retrievers: DEFAULT_SYNONYM_EXPAND_PROMPT
    indices.property_graph.transformations.dynamic_llm: DEFAULT_DYNAMIC_EXTRACT_PROMPT
        DEFAULT_DYNAMIC_EXTRACT_PROPS_PROMPT
    indices.property_graph.transformations.schema_llm: DEFAULT_SCHEMA_PATH_EXTRACT_PROMPT
    indices.query.query_transform.base: DEFAULT_DECOMPOSE_QUERY_TRANSFORM_PROMPT
        DEFAULT_IMAGE_OUTPUT_PROMPT DEFAULT_STEP_DECOMPOSE_QUERY_TRANSFORM_PROMPT
    indices.query.query_transform.feedback_transform: DEFAULT_RESYNTHESIS_PROMPT
    indices.struct_store.base: DEFAULT_SCHEMA_EXTRACT_PROMPT
    indices.struct_store.container_builder: DEFAULT_CONTEXT_QUERY_TMPL
    indices.struct_store.json_query: DEFAULT_JSON_PATH_PROMPT
    indices.tree.base: DEFAULT_INSERT_PROMPT DEFAULT_SUMMARY_PROMPT
    indices.vector_store.retrievers.auto_retriever.prompts: DEFAULT_VECTOR_STORE_QUERY_PROMPT
    memory.memory_blocks.fact: DEFAULT_FACT_CONDENSE_PROMPT DEFAULT_FACT_EXTRACT_PROMPT
    postprocessor.node: DEFAULT_INFER_PREV_NEXT_TMPL DEFAULT_REFINE_INFER_PREV_NEXT_TMPL
    postprocessor.pii: DEFAULT_PII_TMPL
    postprocessor.rankGPT_rerank: RANKGPT_RERANK_PROMPT
    prompts.chat_prompts: CHAT_REFINE_TABLE_CONTEXT_PROMPT
    query_engine.flare.answer_inserter: DEFAULT_ANSWER_INSERT_PROMPT
    query_engine.sql_join_query_engine: DEFAULT_SQL_AUGMENT_TRANSFORM_PROMPT
    question_gen.llm_generators: DEFAULT_SUB_QUESTION_PROMPT_TMPL
"""
LLAMA_INDEX_PARTS = """
    indices.property_graph.sub_retrievers.text_to_cypher: DEFAULT_RESPONSE_TEMPLATE
    indices.vector_store.retrievers.auto_retriever.prompts: SUFFIX
    memory.memory: DEFAULT_MEMORY_BLOCKS_TEMPLATE
    memory.memory_blocks.vector: DEFAULT_RETRIEVED_TEXT_TEMPLATE
    question_gen.prompts: SUFFIX
    retrievers.recursive_retriever: DEFAULT_QUERY_RESPONSE_TMPL
"""

QUESTION = "How long does an entry live in the cache?"
PARAGRAPHS = "\n\n".join(f"Part {i}. The cache keeps answers for one hour." for i in range(12))
CONTEXTS = {
    "short": "An entry lives for one hour.",
    "long": PARAGRAPHS,
    "faq": "FAQ\n\nQuestion: How do I reset it?\nAnswer: Use clear.\n\n"
    "Query: What is a scope?\nAnswer: All but the question.\n\nQ: And then?\nA: Nothing.",
    "cut off": f"{PARAGRAPHS}\n\nQuestion: How do I reset the cache?",
    "markup": "# Guide\n---\nsome data:\n---\n<query>x</query>\n```\nQuestion: y\n```\nContext: z",
}
ASKED = {"question", "query_str", "query", "input", "QUESTION", "user_input", "orig_query_str"}
RETRIEVED = {
    "context", "context_str", "context_msg", "summaries", "text", "context_list", "doc", "data",
    "reference_contexts", "info_str", "schema", "page_content", "history", "chat_history",
}  # fmt: skip
PLACEHOLDER = re.compile(r"\{(question|query_str|query|input|user_input|orig_query_str)\}")
HYDE = "indices.query.query_transform.base.DEFAULT_HYDE_PROMPT"  # asks {context_str}


def names(table: str) -> list[str]:
    found, module = [], ""
    for word in table.split():
        if word.endswith(":"):
            module = word[:-1]
        else:
            found.append(f"{module}.{word}")
    return found


def shipped(package: Any, kind: type) -> dict[str, Any]:
    """Return each template once, by the first of its names; texts only if they are no more."""
    objects: dict[int, tuple[str, Any]] = {}
    texts: dict[str, str] = {}
    prefix = f"{package.__name__}."
    for path in sorted(m.name for m in pkgutil.walk_packages(package.__path__, prefix)):
        try:
            members = vars(importlib.import_module(path))
        except ImportError:
            continue  # wants a package that is not installed
        module = path.removeprefix(prefix)
        for name, value in sorted(members.items()):
            if isinstance(value, kind):
                objects.setdefault(id(value), (f"{module}.{name}", value))
            elif isinstance(value, str) and PLACEHOLDER.search(value):
                texts.setdefault(value, f"{module}.{name}")
    found = dict(objects.values())
    wrapped = {getattr(template, "template", None) for template in found.values()}
    return found | {name: text for text, name in texts.items() if text not in wrapped}


def value_of(variable: str, context: str, name: str) -> Any:
    if variable in ASKED or name == HYDE:
        return QUESTION
    if variable in RETRIEVED:
        return context
    if variable == "context_messages":
        return [ChatMessage(role="user", content=context)]
    if variable == "memory_blocks":
        return [("facts", [TextBlock(text=context)])]
    return f"some {variable} text"


class LangChain:
    kind: type = LangChainTemplate
    package = langchain_classic

    def __init__(self) -> None:
        self.model = ChatOllama(model="any")
        self.templates = {
            n: t for n, t in shipped(self.package, self.kind).items() if not isinstance(t, str)
        }

    def render(self, name: str, context: str) -> Any:
        template = self.templates[name]
        values = {v: value_of(v, context, name) for v in template.input_variables}
        messages = template.format_prompt(**values).to_messages()
        return self.model._convert_messages_to_ollama_messages(messages)


class LlamaIndex:
    kind: type = LlamaTemplate
    package = llama_index.core

    def __init__(self) -> None:
        self.model = Ollama(model="any")
        self.templates = {
            n: PromptTemplate(t) if isinstance(t, str) else t
            for n, t in shipped(self.package, self.kind).items()
        }

    def render(self, name: str, context: str) -> Any:
        template = self.templates[name]
        values = {v: value_of(v, context, name) for v in template.template_vars}
        return self.model._convert_to_ollama_messages(template.format_messages(**values))


@pytest.fixture(scope="module")
def frameworks() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # modules that only say that they are deprecated
        return {"langchain": LangChain(), "llama_index": LlamaIndex()}


def cases(found: str, other: str) -> list[Any]:
    both = (("langchain", found), ("llama_index", other))
    return [(framework, name) for framework, table in both for name in names(table)]


@pytest.mark.parametrize(
    ("framework", "tables"),
    [
        ("langchain", (LANGCHAIN_FOUND, LANGCHAIN_NONE, LANGCHAIN_PARTS)),
        ("llama_index", (LLAMA_INDEX_FOUND, LLAMA_INDEX_NONE, LLAMA_INDEX_PARTS)),
    ],
)
def test_the_tables_name_every_shipped_template(
    frameworks: dict[str, Any], framework: str, tables: tuple[str, ...]
) -> None:
    listed = sorted(name for table in tables for name in names(table))
    assert listed == sorted(frameworks[framework].templates)


@pytest.mark.parametrize(("framework", "name"), cases(LANGCHAIN_FOUND, LLAMA_INDEX_FOUND))
def test_the_question_is_found_whatever_the_context(
    frameworks: dict[str, Any], framework: str, name: str
) -> None:
    for label, context in CONTEXTS.items():
        messages = frameworks[framework].render(name, context)
        found = find_question(messages)
        assert isinstance(found, Split), (label, found)
        assert found.question == QUESTION, label
        assert messages[found.index]["content"][found.start : found.end] == QUESTION


@pytest.mark.parametrize(("framework", "name"), cases(LANGCHAIN_NONE, LLAMA_INDEX_NONE))
def test_no_part_of_a_prompt_without_a_question_is_taken_for_one(
    frameworks: dict[str, Any], framework: str, name: str
) -> None:
    for label, context in CONTEXTS.items():
        found = find_question(frameworks[framework].render(name, context))
        assert isinstance(found, NoQuestion), (label, found)

"""The question of a request is found exactly, or there is none; context never gets into it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.questions import NoQuestion, Split, find_question
from aegis_llm.questions.labels import lowered

Q = "How long does an entry live in the cache?"
SHORT = "An entry lives for one hour."
LONG = "\n\n".join(
    f"Part {i}. The cache keeps what the model said for an hour." for i in range(12)
)
FAQ = "FAQ\n\nQuestion: How do I reset it?\nAnswer: Use clear.\n\nQuery: And then?\nAnswer: Wait."
CUT_OFF = f"{LONG}\n\nQuestion: How do I reset the cache?"

CONTEXTS = [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long")]
CONTEXTS += [pytest.param(FAQ, id="faq"), pytest.param(CUT_OFF, id="cut off")]
RULE = "-" * 21
RAG = (
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved "
    "context to answer the question. If you don't know the answer, just say that you don't know. "
    "Use three sentences maximum and keep the answer concise."
)

# Prompts in which the question is found whatever the context holds, then those in which it is
# found unless the context holds a label of its own.
SAFE_PROMPTS = {
    "langchain hub rag": RAG + "\nQuestion: {q} \nContext: {c} \nAnswer:",
    "langchain hub rag, wide": RAG + "\n\nQuestion: {q}\n\nContext: {c}\n\nAnswer:",
    "langchain docs": "Answer the question based only on the following context:\n{c}\n\n"
    "Question: {q}\n",
    "langchain docs, thanks": "Use the following pieces of context to answer the question at the "
    "end.\nAlways say thanks.\n\n{c}\n\nQuestion: {q}\n\nHelpful Answer:",
    "question after rule": "Answer the question based only on the following context:\n\n{c}\n\n"
    "---\n\nAnswer the question based on the above context: {q}\n",
    "llama-index docs": f"Context information is below.\n{RULE}\n{{c}}\n{RULE}\nGiven the context "
    "information and not prior knowledge, answer the query in Klingon.\nQuery: {q}\nAnswer: ",
    "llama-index docs, given": f"We have provided context information below. \n{RULE}\n{{c}}\n"
    f"{RULE}\nGiven this information, please answer the question: {{q}}\n",
    "tags and label": "Answer from the context.\n<context>\n{c}\n</context>\n\nQuestion: {q}",
    "tags": "Answer from the context.\n<context>{c}</context>\n<question>\n{q}\n</question>",
    "tags, question first": "<question>{q}</question>\n<documents>\n{c}\n</documents>\n",
    "bare after tags": "<context>\n{c}\n</context>\n\n{q}",
    "bare before tags": "{q}\n\n<context>\n{c}\n</context>",
    "fence": "Answer the question about the document.\n```\n{c}\n```\nQuestion: {q}",
    "react": "Answer the following questions as best you can. Tools:\n\n{c}\n\nUse this:\n\n"
    "Question: the input question you must answer\nThought: think\n\nBegin!\n\n"
    "Question: {q}\nThought: I look it up\nAction: search\nObservation: nothing",
    "react chat": "Assistant is a large language model trained by OpenAI.\n\n{c}\n\nBegin!\n\n"
    "Previous conversation history:\nHuman: hi\n\nNew input: {q}\nThought: Do I need a tool?",
    "cypher answer": "You are an assistant that helps to form nice and human understandable "
    "answers.\n\nQuestion: Who owns it?\nContext:[x]\nHelpful Answer: X.\n\nInformation:\n{c}\n\n"
    "Question: {q}\nHelpful Answer:",
}
PROMPTS = {
    "labels": "Context: {c}\n\nQuestion: {q}",
    "labels and answer": "Context:\n{c}\n\nQuestion: {q}\nAnswer:",
    "capitals": "\nCONTEXT:\n{c}\n\nQUESTION:\n{q}\n",
    "indented": "Use the context to answer the question.\n\n    Context:\n    {c}\n\n"
    "    Question:\n    {q}\n\n    Answer explicitly and clearly:",
    "question first": "Question: {q}\n\nContext:\n{c}",
    "query first": "User Query:\n{q}\n\nContext:\n{c}",
    "persona": "You are a helpful assistant.\n\nHere are the relevant documents:\n{c}\n\n"
    "Now answer the user's question:\n{q}\n",
    "tags named before": "Use what is inside <context></context> tags.\n<context>\n{c}\n"
    "</context>\n\nGiven the context, answer the query.\nQuery: {q}",
    "headings": "## Context\n{c}\n\n## Question\n{q}\n\n## Answer\n",
    "headings, orders": "# Context\n\n{c}\n\n# My question:\n\n{q}\n\n# Instruction\n\nBe brief.",
    "percent": "Your job is to answer questions.\n\n%CONTEXT%\n{c}\n\n%Question%\n{q}\n\nAnswer:",
    "bold": "**Context:**\n{c}\n\n**Question:** {q}\n\n**Answer:**",
    "one line": "Context: {c} Question: {q} Answer:",
    "orders after": "Context: {c}\n\nQuestion: {q}\n\nPlease answer from the context above. "
    "If the context does not say, tell me so.",
    "list of orders": "Answer the question.\n\nContext:\n{c}\n\nQuestion: {q}\n\nInstructions:\n"
    "- Answer only from the context\n- Cite it\n",
    "history": "Chat history:\nHuman: hi\nAI: hello\n\nContext:\n{c}\n\nQuestion: {q}\nAnswer:",
    "passage": "{c}\n\nQuestion: {q}\nAnswer:",
    "letters": "Context: {c}\n\nQ: {q}\nA:",
    "german": "Beantworte die Frage.\n\nKontext:\n{c}\n\nFrage: {q}\nAntwort:",
    "french": "Contexte :\n{c}\n\nQuestion : {q}\n\nRéponse :",
    "spanish": "Contexto: {c}\n\nPregunta: {q}\nRespuesta:",
    "italian": "Contesto: {c}\n\nDomanda: {q}\nRisposta:",
    "chinese": "请根据上下文回答问题。\n\n上下文：\n{c}\n\n问题：{q}\n\n回答：",  # noqa: RUF001
    "sql": "You are an expert. Given a question, write SQL.\nQuestion: Question here\n"
    "SQLQuery: SQL to run\n\nTables:\n{c}\n\nQuestion: {q}\nSQLQuery: ",
}
UNLABELLED = {
    "question, context": "{q}\n\nContext:\n{c}",
    "context, question": "Context:\n{c}\n\n{q}",
    "documents, question": "{c}\n\n{q}",
    "line above": "{c}\n{q}",
    "same line": "{c} {q}",
    "after it": "{q} {c}",
    "summary": "Summarize the following document:\n{c}",
    "translation": "Translate to German: {c}",
    "questions wanted": "Extract the questions in this text:\n{c}",
    "questions to make": "Generate three questions about this text:\n{c}",
    "roles": "User: {q}\nContext: {c}\nAssistant:",
    "json": '{{"context": "{c}", "question": "{q}"}}',
}


def ask(content: str) -> Split | NoQuestion:
    return find_question([{"role": "user", "content": content}])


def question_of(content: str) -> str | None:
    found = ask(content)
    return found.question if isinstance(found, Split) else None


@pytest.mark.parametrize(
    "context", [SHORT, LONG, FAQ, CUT_OFF], ids=["short", "long", "faq", "cut"]
)
@pytest.mark.parametrize("name", SAFE_PROMPTS)
def test_the_question_is_found_whatever_the_context_holds(name: str, context: str) -> None:
    assert question_of(SAFE_PROMPTS[name].format(c=context, q=Q)) == Q


@pytest.mark.parametrize("name", PROMPTS)
def test_a_label_in_the_context_is_doubt(name: str) -> None:
    prompt = PROMPTS[name]
    assert [question_of(prompt.format(c=c, q=Q)) for c in (SHORT, LONG)] == [Q, Q]
    assert [ask(prompt.format(c=c, q=Q)) for c in (FAQ, CUT_OFF)] == [
        NoQuestion("several_questions")
    ] * 2


@pytest.mark.parametrize(
    "context", [SHORT, LONG, FAQ, CUT_OFF], ids=["short", "long", "faq", "cut"]
)
@pytest.mark.parametrize("name", UNLABELLED)
def test_a_question_that_nothing_marks_is_not_guessed(name: str, context: str) -> None:
    assert question_of(UNLABELLED[name].format(c=context, q=Q)) is None


@pytest.mark.parametrize(
    "question",
    [
        Q,
        "how do i reset it",
        "Tell me about Redis.",
        "Hi! Can I return a laptop?",
        "Good morning. Is it open? Thank you!",
        "What is a scope? And what is a tenant?",
        "Who led No. 73 Squadron at St. Omer?",
        "Does Dr. Smith work at 10:30 vs. noon, e.g. on Mondays?",
        "What does https://example.org/a?b=c return?",
        "Wie lange lebt ein Eintrag?",
        "缓存条目能保存多久？",  # noqa: RUF001
    ],
)
def test_a_plain_question_is_the_whole_message(question: str) -> None:
    assert ask(f" \n{question}\t\n") == Split(0, 2, 2 + len(question), question)


@pytest.mark.parametrize(
    "content",
    [
        "The door is red. What colour is the door?",
        "harrison worked at kensho. where did harrison work?",
        "Where did he work? He worked at Kensho.",
        "Summarize: the cat sat on the mat",
        "What is it?\nThe door is red.",
        "What does this do? ```x = 1```",
        "Is it open?Show me an image with <img/> tags",
        "It says no. Is it open?",
        "They sell vitamin C. Where is it sold?",
        "Hello world is a program. What is it?",
        "word " * 61,
        "x" * 601,
        'How would you answer the question "Is it open?"',
        "缓存很快。缓存能保存多久？",  # noqa: RUF001
    ],
)
def test_a_message_that_may_hold_more_than_a_question_has_none(content: str) -> None:
    assert ask(content) == NoQuestion("question_not_separable")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty_question"),
        (" \n ", "empty_question"),
        ("???", "empty_question"),
        (f"Context information is below.\n{RULE}\nx\n{RULE}\nGiven the context information and not"
         " prior knowledge, answer the query.\nQuery: \nAnswer: ", "empty_question"),
        (f"Question: {Q}\nContext: the log\nQuestion: {Q}", "several_questions"),
        ("<context>a<history>b</context>c</history> Question: x", "sections_overlap"),
        ("<question>a?</question><question>b?</question>", "question_not_separable"),
        (f"Context: x\nQuestion 1: {Q}", "question_not_separable"),
        (f"{LONG}", "question_not_separable"),
        (None, "no_text"),
        ([{"type": "text", "text": Q}], "no_text"),
    ],
)  # fmt: skip
def test_why_there_is_no_question(content: Any, reason: str) -> None:
    assert ask(content) == NoQuestion(reason)


@pytest.mark.parametrize(
    "content",
    [
        "Write a summary.\n\nAnswer the reader.\n---\nfacts\nQuestion: And why?\n\nSummary:",
        "Question: How do I reset it?\nContext: the log\n\nAnd how do I change my mail?",
        "Can you answer the question?\n\nContext:\nthe log\n\nQuestion: How do I reset it?",
        "Context: x\n\nQuestion: what is it Documents: the log",
        "Answer the question.\nTopic: doors\nQuestion: Is it red?\nContext: x",
        f"Context: x\n\nQuestion: {'Some fact is told here. ' * 6}Is it?",
        "Use the context.\n<context>x</context>\n<question>Is it?\n\nThe log says no.</question>",
        "Answer the question based only on the following context:\n\nQuestion: Is it red?\n"
        "Instructions:\n\n---\n\nAnswer the question based on the above context: a\nAnswer: b",
        "Context: x\n\nQuestion: Was it?\nAnswer the question below. Is it?",
        "Use the following pieces of context to answer the question at the end.\n\nx\n\n"
        "Question: Is it red?\n\nAnswer the question briefly.\nHelpful Answer:",
        "Answer.\n<context><question>x?</question></context>\n<question>Is it?</question>",
        "<question>fee? <context>fee is 5</context></question>",
        "<question>fee? <context>fee is 5</question>",
        "<question>fee? <b>5</b></question>",
    ],
)
def test_a_second_text_that_may_be_the_question_is_doubt(content: str) -> None:
    assert ask(content) == NoQuestion("question_not_separable")


def test_a_description_of_the_format_is_no_question() -> None:
    for form in ("<question>", "[question here]", "${Question}", '"Question here"', "..."):
        content = f"Answer the question.\nQuestion: {form}\nSQL: x\n\nQuestion: {Q}\nSQL:"
        assert question_of(content) == Q


def test_only_the_last_message_asks_and_it_must_be_the_users() -> None:
    history: list[dict[str, Any]] = [
        {"role": "system", "content": f"Answer.\n\nQuestion: x?\n{LONG}"},
        {"role": "user", "content": "Question: what is Redis?"},
        {"role": "assistant", "content": "A store.", "tool_calls": []},
    ]
    assert find_question([]) == NoQuestion("no_messages")
    assert find_question(history) == NoQuestion("last_message_not_user")
    assert find_question([*history, {"role": "user", "content": Q}]) == Split(3, 0, len(Q), Q)
    used = [*history, {"role": "tool", "content": "1"}, {"role": "user", "content": Q}]
    assert find_question(used) == NoQuestion("tool_message")
    facts = [{"role": "user", "content": Q}, {"role": "user", "content": SHORT}]
    assert find_question(facts) == NoQuestion("question_not_separable")
    assert find_question([{"content": Q}]) == NoQuestion("last_message_not_user")


@pytest.mark.parametrize(
    "question",
    ["What does 'Context: none' mean?", "Why does it print Question: twice?", "a\nAnswer: b"],
)
def test_labels_in_the_users_own_words_are_doubt(question: str) -> None:
    for prompt in PROMPTS.values():
        assert question_of(prompt.format(c=SHORT, q=question)) in (None, question)


def test_a_question_of_several_lines_is_kept_whole_where_fixed_text_closes_it() -> None:
    question = "What is a scope?\nAnd how is it hashed?"
    for name in ("langchain docs, thanks", "tags", "llama-index docs"):
        found = question_of(SAFE_PROMPTS[name].format(c=FAQ, q=question))
        assert found in ((None, question) if name == "llama-index docs" else (question,))


def test_instructions_near_the_question_do_not_dilute_it() -> None:
    long = "Answer in three sentences, cite the sources, and never invent anything."
    for content in (f"Context: x\n\nQuestion: {Q} {long}", f"{Q} {long}", f"{Q}\n\n{long}"):
        assert question_of(content) is None
    assert question_of(f"Context: x\n\nQuestion: {Q}\n{long}") == Q


def extracted(content: str, answer: Any) -> Split | NoQuestion:
    def extractor(messages: Sequence[Mapping[str, Any]]) -> str | None:
        assert messages[-1]["content"] == content
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # also wrong types are tried

    return find_question([{"role": "user", "content": content}], extractor)


@pytest.mark.parametrize(
    ("content", "answer", "expected"),
    [
        ("[[ who is it ]] in x", " who is it ", Split(0, 3, 12, "who is it")),
        ("who is it", None, NoQuestion("extractor_none")),
        ("who is it", " ", NoQuestion("empty_question")),
        ("who is it", "Who is it", NoQuestion("extractor_not_found")),
        ("aXaXa", "aXa", NoQuestion("extractor_ambiguous")),
        ("who is it", 5, NoQuestion("extractor_not_text")),
        ("who is it", KeyError("x"), NoQuestion("extractor_failed")),
    ],
)
def test_the_word_of_the_extractor_counts(content: str, answer: Any, expected: Any) -> None:
    assert extracted(content, answer) == expected


LINES = [
    "Question: how do I reset?", "Query: what now?", "Answer: press it.", "Context: other",
    "Q: a?", "A: b", "", "It opens at nine. The door is red.", "---", RULE, "```", "<context>",
    "</context>", "<question>x?</question>", "<question>", "Helpful Answer: yes", "# Question",
    "Question", "Given the context information and not prior knowledge, answer the query.",
    "## Context", "User: hi", "Human: what?", "[1] see page 3", "Frage: was?", "Answer:",
    "Follow Up Input: so?",
    "Why is that?", "Please answer the question.", "data:", "Source: a.txt", "Instructions:",
    "If the answer is missing, say so.", "**Question:** bold?", "- question: in a list?", "Query",
    "=========", "The following documents:", "</documents>", "<documents>", "AI: yes",
    "Standalone question: y", "We have provided an existing answer: x", "\nThought: x",
]  # fmt: skip
contexts = st.lists(
    st.sampled_from(LINES) | st.text(alphabet="ab :?.\n<>Q", max_size=20), max_size=8
).map("\n".join)
questions = st.sampled_from([Q, "Tell me about it.", "what is x", "Is it? Is it not?"]) | (
    st.text(alphabet="abc ?.,'-", min_size=1, max_size=40)
    .map(str.strip)
    .filter(lambda text: any(map(str.isalnum, text)))
)


@settings(max_examples=300, deadline=None)
@given(
    prompt=st.sampled_from([*SAFE_PROMPTS.values(), *PROMPTS.values()]),
    context=contexts,
    other=contexts,
    question=questions,
)
def test_context_never_gets_into_the_question(
    prompt: str, context: str, other: str, question: str
) -> None:
    rests = set()
    for text in {context, other}:
        content = prompt.format(c=text, q=question)
        found = ask(content)
        if isinstance(found, Split):
            assert found.question == question
            assert content[found.start : found.end] == question
            rests.add((content[: found.start], content[found.end :]))
        else:
            rests.add((text, ""))
    assert len(rests) == len({context, other})


@settings(max_examples=300, deadline=None)
@given(content=st.text(max_size=300) | contexts)
def test_a_split_is_a_place_in_the_message(content: str) -> None:
    found = ask(content)
    if isinstance(found, Split):
        assert content[found.start : found.end] == found.question == found.question.strip()
        assert any(map(str.isalnum, found.question))


@pytest.mark.parametrize(
    "unit",
    [
        "question:", "question ", "Q1? ", ":", "\n", "\n---", "_", "Question: <x>\n", "<question>",
        "<context></context>", "context: ", "a: b\n", "```\n", "you are ", "the ", "Is it? ", "İ",
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_is_answered(unit: str) -> None:
    flood = unit * (1_000_000 // len(unit))
    for content in (flood, f"Context:\n{flood}\n\nQuestion: {Q}\nAnswer:", f"Question: {flood}"):
        assert question_of(content) in (None, Q)


def test_lower_case_keeps_every_character_at_its_place() -> None:
    for code in range(sys.maxunicode + 1):
        assert len(lowered(chr(code))) == 1

"""Judge whether a piece of text can be one question, and nothing but a question."""

from __future__ import annotations

import re

MAX_CHARS = 600
MAX_WORDS = 60
MAX_LEAD_WORDS = 24
_STRUCTURE_CHARS = 20_000

CONTEXT = (
    r"contexts?|kontext|contexte|contexto|contesto|konteks|контекст|上下文|文脈|"
    r"documentation|documents?|docs?|dokumente?n?|documentos?|documenti|passages?|excerpts?|"
    r"sources?|quellen?|(?<=\w )information(?:en)?|informaci[oó]n|references?|background|"
    r"knowledge|chunks?|snippets?|results?|articles?|summaries|facts|evidence|materials?|transcripts?|"
    r"notes|history|conversation|verlauf|schema|tables?|data|text"
)
ANSWER = (
    r"answers?|response|reply|antwort|r[ée]ponse|respuesta|resposta|risposta|antwoord|"
    r"odpowied[zź]|ответ|回答|答案|assistant|ai|thought"
)
ASKER = r"user|human|customer|input|task|information|claim|statement"
QUESTION = (
    r"questions?|quer(?:y|ies)|fragen?|anfrage|nutzerfrage|pregunta|consulta|pergunta|domanda|"
    r"vraag|pytanie|вопрос|问题|質問|질문|q"
)

_SENTENCE_END = re.compile(
    r"[.!?…][\"'»”)\]]*[ \t\u00a0]+|(?<=\w)[?!](?=[A-Z\u00c0-\u00de])|[。\uff01\uff1f]+"
)
_ABBREVIATION = re.compile(
    r"\b(?:[A-Za-z]\.[A-Za-z]|Dr|Mr|Mrs|Ms|Prof|Rep|Gen|St|Jr|Sr|Bros|vs|approx|ca|"
    r"(?P<numbered>No|Nr|Op|Vol|Fig))\.\s*$"
)
_COURTESY = re.compile(
    r"(?:hi|hello|hey|good (?:morning|afternoon|evening)|thanks|thank you|many thanks|"
    r"hallo|guten tag|danke|bonjour|merci|hola|gracias|ciao)(?:[ ,]+\w+)?[.!,]*$",
    re.IGNORECASE,
)
_INNER_LABEL = re.compile(
    rf"(?<!\w)(?:{CONTEXT}|{ANSWER}|{ASKER}|{QUESTION}|instructions?|hint)"
    r"[*_\"'`)\]]{0,3}[ \t\u00a0]?[:\uff1a]",
    re.IGNORECASE,
)
_LINE_LABEL = re.compile(
    r"\n[ \t]*(?:[^\s:\uff1a][^\n:\uff1a]{0,40}[:\uff1a](?:[ \t*_]|$|\n)|"
    r"[-=*_~#]{3,}|```|\"\"\"|<[/\w]|#{1,6} |\[)"
)
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_FOREIGN = re.compile(
    r"```|</|/>|(?:question|query|frage)[ \t]*['\"`\u201c\u201e\u00ab]", re.IGNORECASE
)
_SECTION_TAG = re.compile(
    rf"</|<[ \t]*(?:{CONTEXT}|{ANSWER}|{ASKER}|{QUESTION}|instructions?|system)\b[^<>\n]*>",
    re.IGNORECASE,
)
_COLON = re.compile(r"[:\uff1a](?:\s|$)")


def is_plain(text: str, *, colons: bool, lead: bool) -> bool:
    """Return whether `text` is one line that asks something and holds no foreign text.

    Every sentence must ask (or greet), unless there is only one. `colons` allows "word: more" in
    it, `lead` allows short statements before a last sentence that ends in a question mark.
    """
    if not text or len(text) > MAX_CHARS or len(text.splitlines()) != 1:
        return False
    if text.count(" ") >= MAX_WORDS or _FOREIGN.search(text) or _INNER_LABEL.search(text):
        return False
    if not colons and _COLON.search(text):
        return False
    sentences = _sentences(text)
    if len(sentences) == 1:
        return True
    if lead and is_asking(sentences[-1]):
        return sum(sentence.count(" ") + 1 for sentence in sentences[:-1]) <= MAX_LEAD_WORDS
    asked = [s for s in sentences if not _COURTESY.match(s)]
    return bool(asked) and all(map(is_asking, asked))


def is_whole(text: str) -> bool:
    """Return whether `text`, found between fixed texts, shows no sign of a second section."""
    if not text or len(text) > _STRUCTURE_CHARS or _SECTION_TAG.search(text):
        return False
    return "\n" not in text or not (_BLANK_LINE.search(text) or _LINE_LABEL.search(text))


def is_asking(sentence: str) -> bool:
    """Return whether a sentence ends in a question mark."""
    return sentence.rstrip("\"'»”)] \t").endswith(("?", "\uff1f"))


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        piece = text[start : end.end()]
        short = _ABBREVIATION.search(piece)
        if short and (not short["numbered"] or text[end.end() : end.end() + 1].isdigit()):
            continue
        found.append(piece.strip())
        start = end.end()
    found.append(text[start:].strip())
    return [sentence for sentence in found if sentence]

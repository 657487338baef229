"""The pages: each reads what was asked, calls, and fills a template."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from aegis_llm.browsing import Browser, words
from aegis_llm.browsing.overview import Overview
from aegis_llm.config import safe_url
from aegis_llm.errors import AegisError, ConfigError, StoreTrouble
from aegis_llm.explanation.words import in_words
from aegis_llm.ui import shaping
from aegis_llm.ui.access import Access
from aegis_llm.ui.trying import Trying

PAGE = 25
_SEARCH_S = 1.5
_MOST_FIELDS = 300
Form = Mapping[str, list[str]]
Handler = Callable[[Request], Response]
PostHandler = Callable[[Request, Form], Response]


class Pages:
    """All pages of one namespace."""

    def __init__(
        self, browser: Browser, overview: Overview, trying: Trying, access: Access
    ) -> None:
        self._browser = browser
        self._overview = overview
        self._trying = trying
        self._access = access
        self._templates = Environment(
            loader=PackageLoader("aegis_llm.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made = self._templates
        made.filters |= shaping.FILTERS
        made.globals |= {
            "namespace": browser.namespace,
            "server": safe_url(browser.service.rules.cache.redis_url),
            "form_token": access.form_token,
            "at": access.place,
        }
        for name in made.list_templates():
            made.get_template(name)  # read and compiled before the first page is asked for

    def get(self, handler: Handler) -> Callable[[Request], Any]:
        """Return the endpoint of a page that is read."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._answered, lambda: handler(request))

        return endpoint

    def post(self, handler: PostHandler) -> Callable[[Request], Any]:
        """Return the endpoint of a form; one without the page's token is refused."""

        async def endpoint(request: Request) -> Response:
            try:
                body = (await request.body()).decode("utf-8", "replace")
                form = parse_qs(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
            except (ClientDisconnect, ValueError):
                return PlainTextResponse("That is too much at once.\n", 413)
            if not self._access.allows(field(form, "form_token")):
                return PlainTextResponse("The form is not one of this page; load it anew.\n", 403)
            return await run_in_threadpool(self._answered, lambda: handler(request, form))

        return endpoint

    def overview(self, request: Request) -> Response:
        """Show how it goes."""
        view = self._overview.look()
        now_ms = _now_ms()
        figures = view.figures
        recent = view.lately
        return self._shown(
            "overview.html",
            view=view,
            paused="pause" in request.query_params,
            recent=words.traffic(recent, view.recent_s) if recent else [],
            traffic=words.traffic(figures) if figures else [],
            latency=words.latency(recent or figures) if figures else [],
            queue=words.queue(figures) if figures else [],
            saved=words.saved(figures) if figures else [],
            stored=words.stored(view.stock, view.memory, now_ms) if view.stock else [],
            bar=shaping.bar(figures.outcomes) if figures else [],
            trouble=in_words(view.redis_trouble) if view.redis_trouble else "",
        )

    def entries(self, request: Request) -> Response:
        """List entries."""
        text = request.query_params.get("q", "")[:200]
        everywhere = "everywhere" in request.query_params
        found = self._browser.search(
            text,
            request.query_params.get("page", ""),
            PAGE,
            everywhere=everywhere,
            within_s=_SEARCH_S,
        )
        kept = {"q": text} | ({"everywhere": "1"} if everywhere else {})
        query = urlencode(kept | {"page": found.next})
        following = f"{self._access.place}/entries?{query}" if found.next else ""
        return self._shown(
            "entries.html", found=found, text=text, everywhere=everywhere, now_ms=_now_ms(),
            following=following, first="page" not in request.query_params,
        )  # fmt: skip

    def entry(self, request: Request) -> Response:
        """Show one entry."""
        entry_id = request.path_params["entry_id"]
        found = self._browser.show(entry_id, request.query_params.get("at", ""))
        if found is None:
            return self._gone()
        return self._shown("entry.html", one=found, now_ms=_now_ms())

    def reject(self, request: Request, form: Form) -> Response:
        """Remove one entry."""
        asked = field(form, "asked").strip()[:4000] or None
        if not self._browser.reject(request.path_params["entry_id"], asked):
            return self._gone()
        return self._done("The entry is removed; other processes hear of it at once.")

    def invalidate(self, request: Request, form: Form) -> Response:
        """Remove what was made from documents, or has tags."""
        documents, tags = form.get("document", []), form.get("tag", [])
        if not documents and not tags:
            msg = "no document and no tag was ticked"
            raise ConfigError(msg)
        count = self._browser.invalidate(documents, tags)
        return self._done(f"{count} {'answer' if count == 1 else 'answers'} removed.")

    def why(self, request: Request) -> Response:
        """Show the form that explains a question, filled from an entry if one is named."""
        entry_id = request.query_params.get("entry", "")
        one = (
            self._browser.show(entry_id, request.query_params.get("at", "")) if entry_id else None
        )
        return self._why({}, one=one)

    def explain(self, request: Request, form: Form) -> Response:
        """Explain a question: against one entry, or as a request."""
        entry_id = field(form, "entry")
        if entry_id:
            one = self._browser.show(entry_id, field(form, "at"))
            if one is None:
                return self._gone()
            told = None
            if one.entry.question:
                told = self._trying.against(field(form, "question"), one.entry.question)
            return self._why(form, one=one, told=told)
        names = ("question", "model", "system", "options", "tenant", "user")
        explanation = self._trying.explained(*(field(form, name) for name in names))
        return self._why(form, explanation=explanation)

    def try_two(self, request: Request) -> Response:
        """Show the form for two questions."""
        return self._shown("try.html", asked="", other="", told=None)

    def tried(self, request: Request, form: Form) -> Response:
        """Compare two questions."""
        asked, other = field(form, "asked"), field(form, "other")
        told = self._trying.against(asked, other)
        return self._shown("try.html", asked=asked, other=other, told=told)

    def _why(self, form: Form, **given: Any) -> Response:
        names = ("question", "system", "options", "tenant", "user")
        fields: dict[str, Any] = {name: field(form, name) for name in names}
        fields["model"] = field(form, "model") or "llama3.1:8b"
        fields |= {"one": None, "told": None, "explanation": None}
        return self._shown("why.html", **(fields | given))

    def _done(self, sentence: str) -> Response:
        self._overview.stocktaking.outdated()
        return self._shown("message.html", title="Done", sentence=sentence)

    def _gone(self) -> Response:
        sentence = "There is no such entry: it expired, or was removed."
        return self._shown("message.html", 404, title="Not there", sentence=sentence)

    def _answered(self, answer: Callable[[], Response]) -> Response:
        """Answer, and say what is in the way as a page."""
        try:
            return answer()
        except StoreTrouble as exc:
            sentence = f"{in_words(exc.reason)} ({exc.reason}). The applications go on without it."
            return self._shown("message.html", 503, title="Redis", sentence=sentence)
        except ConfigError as exc:
            return self._shown("message.html", 400, title="Not usable", sentence=f"{exc}.")
        except AegisError as exc:
            return self._shown("message.html", 502, title="It failed", sentence=f"{exc}.")

    def _shown(self, template: str, status: int = 200, **given: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(**given), status)


def moved(request: Request) -> Response:
    """Lead someone who has the key from the link to the first page."""
    return RedirectResponse(f"{request.scope['root_path']}/", 303)


def field(form: Form, name: str) -> str:
    """Return the first value of a field; empty: there is none."""
    return form.get(name, [""])[0]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

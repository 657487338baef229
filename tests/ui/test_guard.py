"""Who may not see the page, and from where nothing may be done: over real HTTP."""

from __future__ import annotations

import re
import socket
from typing import Any

import httpx
import pytest

from aegis_llm.ui.serving import HOST, Page, PortError
from tests.browsing.kit import entry, store
from tests.ui.conftest import Serve
from tests.ui.visitor import Visitor

PATHS = ["/", "/entries", "/entries/" + "a" * 64, "/why", "/try", "/nothing"]
PATHS += ["/static/style.css", "/static/icon.svg", "/static/"]


@pytest.mark.parametrize("path", PATHS)
def test_without_the_link_nothing_is_shown(stranger: httpx.Client, path: str) -> None:
    reply = stranger.get(path)
    assert reply.status_code == 403
    assert "link that aegis-llm ui printed" in reply.text
    assert "namespace" not in reply.text


@pytest.mark.parametrize("path", ["/", "/entries", "/enter", "/static/style.css", "/try"])
def test_nothing_lies_beside_the_path_that_only_the_link_names(
    visitor: Visitor, page: Page, path: str
) -> None:
    """A browser sends the cookie of a host to every port: it must be of a path none can guess."""
    origin = f"http://127.0.0.1:{page.port}"
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
    token = page.url.partition("?")[2]
    for where in (path, f"/{'0' * 32}{path}", f"{page.base.removeprefix(origin)}x{path}"):
        reply = httpx.get(f"{origin}{where}?{token}", headers={"cookie": cookies})
        assert reply.status_code == 403
    assert visitor.read("/try")


def test_cookies_of_other_programs_are_no_matter(visitor: Visitor, page: Page) -> None:
    ours = "; ".join(f"{name}={value}" for name, value in visitor.client.cookies.items())
    for others in ('a[b]=1; x={"a": 1}', 'sess:ion="a; b c', f"aegis_ui_{page.port}=x", "=; ;"):
        for told in (f"{others}; {ours}", f"{ours}; {others}"):
            assert httpx.get(f"{page.base}/try", headers={"cookie": told}).status_code == 200


def test_the_link_opens_the_page_once_and_a_wrong_one_never(serve: Serve) -> None:
    page = serve()
    entrance, _, right = page.url.partition("?token=")
    with httpx.Client(follow_redirects=True) as first, httpx.Client() as second:
        for wrong in ("", "x", right[:-1], right + "x", "%00", "é"):
            assert second.get(f"{entrance}?token={wrong}").status_code == 403
        assert second.get(entrance).status_code == 403
        opened = first.get(page.url)
        assert opened.status_code == 200
        told = opened.history[0].headers["set-cookie"]
        assert second.get(page.url).status_code == 403
        assert first.get(page.url).status_code == 200  # whoever came in by it stays in
    assert "HttpOnly" in told
    assert "SameSite=strict" in told
    assert str(page.port) in told.partition("=")[0]
    assert f"Path=/{page.base.rpartition('/')[2]};" in told
    assert right not in told


def test_a_wrong_cookie_opens_nothing(stranger: httpx.Client, page: Page) -> None:
    for wrong in ("x", "", "\x7f", "é"):
        cookie = f"aegis_ui_{page.port}={wrong}".encode()
        assert stranger.get("/", headers=[(b"cookie", cookie)]).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost:1", "", "127.0.0.1:{port}.x"],
)
@pytest.mark.parametrize("path", ["/", "/static/style.css", "/enter"])
def test_a_foreign_host_is_refused(visitor: Visitor, page: Page, host: str, path: str) -> None:
    reply = visitor.client.get(path, headers={"host": host.format(port=page.port)})
    assert reply.status_code in (400, 421)
    assert namespace_not_in(reply.text)


def namespace_not_in(text: str) -> bool:
    return "aegis_ui" not in text and "form_token" not in text


def test_localhost_is_the_same_page(visitor: Visitor, page: Page) -> None:
    reply = visitor.client.get("/try", headers={"host": f"localhost:{page.port}"})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused_even_with_cookie_and_token(
    visitor: Visitor, redis_url: str, namespace: str, headers: dict[str, str]
) -> None:
    store(redis_url, namespace, entry(0))
    path = f"/entries/{entry(0).key}"
    fields = {"form_token": visitor.token()}
    assert visitor.client.post(f"{path}/reject", data=fields, headers=headers).status_code == 403
    assert "part 0" in visitor.seen(path)


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
@pytest.mark.parametrize("path", ["/entries/{id}/reject", "/invalidate", "/why", "/try"])
def test_a_form_without_the_token_does_nothing(
    visitor: Visitor, redis_url: str, namespace: str, path: str, token: str
) -> None:
    store(redis_url, namespace, entry(0))
    fields = {"form_token": token, "document": "doc-0", "question": "x", "asked": "x"}
    reply = visitor.client.post(path.format(id=entry(0).key), data=fields)
    assert reply.status_code == 403
    assert "part 0" in visitor.seen(f"/entries/{entry(0).key}")


def test_nothing_changes_by_a_link(visitor: Visitor, redis_url: str, namespace: str) -> None:
    store(redis_url, namespace, entry(0))
    for path in (f"/entries/{entry(0).key}/reject", "/invalidate?document=doc-0"):
        assert visitor.client.get(path).status_code == 405
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert visitor.client.request(method, "/").status_code == 405


def test_too_much_is_refused(visitor: Visitor) -> None:
    assert visitor.client.post("/try", content=b"a" * 70_000).status_code == 413

    def parts() -> Any:
        for _ in range(70):
            yield b"a" * 1000

    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert visitor.client.post("/try", content=parts(), headers=kind).status_code == 413
    many = "&".join(f"f{n}=1" for n in range(1000))
    assert visitor.client.post("/try", content=many, headers=kind).status_code == 413
    assert visitor.read("/try")


@pytest.mark.parametrize("path", ["/", "/entries", "/static/style.css", "/nothing"])
def test_every_answer_forbids_scripts_frames_and_copies(visitor: Visitor, path: str) -> None:
    headers = visitor.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/", "/entries", "/why", "/try"])
def test_nothing_is_asked_of_other_machines(visitor: Visitor, path: str) -> None:
    source = visitor.read(path)
    assert re.findall(r'(?:src|href|action)="(?!/[0-9a-f]{32}/|#)[^"]*"', source) == []
    assert "<script" not in source
    assert "style=" not in source


@pytest.mark.parametrize("path", ["/static/../access.py", "/static/%2e%2e/access.py", "/static/"])
def test_no_other_file_is_served(visitor: Visitor, path: str) -> None:
    assert visitor.client.get(path).status_code == 404


def test_it_listens_on_this_machine_alone(page: Page) -> None:
    assert page.url.startswith(f"http://{HOST}:")
    assert page._socket.getsockname()[0] == "127.0.0.1"


def test_a_port_in_use_is_a_sentence(serve: Serve) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortError, match=r"cannot be used: .*; --port 0"):
            serve(port=other.getsockname()[1])

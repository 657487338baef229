"""Measure what the router keeps out of the semantic tier, by source and by reason.

Run from the repository root, with the folder of development data (default `../shared/data`):

    python -m benchmarks.matching.routes [--data FOLDER] [--examples 20] [--only NAME]

Of pairs that ask the same, too much kept out is a loss; of questions about now, about the asker's
records and of requests for action, what is left in is a risk.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from aegis_llm.matching import route
from benchmarks.matching.data import Row, rows

_NOW = (
    "datetime_query", "weather_query", "transport_traffic", "qa_stock", "news_query", "weather",
    "time", "date", "traffic", "exchange_rate", "next_holiday",
)  # fmt: skip
_RECORDS = (
    "balance", "bill_balance", "bill_due", "transactions", "order_status", "application_status",
    "spending_history", "credit_limit", "credit_score", "pto_balance", "pto_used",
    "account_blocked", "shopping_list", "todo_list", "reminder", "calendar", "meeting_schedule",
    "payday", "user_name",
    "rewards_balance", "pto_request_status", "current_location", "card_declined", "calendar_query",
    "email_query", "lists_query", "alarm_query", "confirm_reservation", "min_payment", "w2",
    "income", "bill_due", "flight_status", "last_maintenance", "gas",
)  # fmt: skip
_ACTIONS = (
    "alarm", "alarm_set", "alarm_remove", "book_flight", "book_hotel", "calendar_update", "cancel",
    "cancel_reservation", "calendar_set", "calendar_remove", "change_volume", "email_sendemail",
    "iot_cleaning", "iot_coffee", "iot_hue_lightchange", "iot_hue_lightdim", "iot_hue_lightoff",
    "iot_hue_lighton", "iot_hue_lightup", "iot_wemo_off", "iot_wemo_on", "lists_createoradd",
    "lists_remove", "audio_volume_down", "audio_volume_mute", "audio_volume_up", "play_audiobook",
    "play_music", "play_podcasts", "play_radio", "order", "pay_bill", "reminder_update",
    "restaurant_reservation", "shopping_list_update", "smart_home", "text", "timer", "transfer",
    "transport_taxi", "transport_ticket", "uber", "update_playlist", "todo_list_update",
    "schedule_meeting", "social_post", "takeaway_order", "share_location", "next_song",
    "make_call", "report_lost_card", "freeze_account", "find_phone", "pto_request", "car_rental",
    "music_settings", "cancel_transfer", "terminate_account",
)  # fmt: skip
_CHANCE = ("roll_dice", "flip_coin")
_KINDS = {"now": _NOW, "records": _RECORDS, "action": _ACTIONS, "chance": _CHANCE}


def groups(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a name and the texts of each group."""
    yield from _pairs(rows(folder, "pairs_dev"))
    rag = rows(folder, "rag_dev")
    yield "rag questions", [row["question"] for row in rag]
    yield "rag paraphrases", [text for row in rag for text in row.get("paraphrases", ())]
    yield "rag edits", [row["question"] for row in rows(folder, "rag_edits_dev")]
    for name in ("queries_dev", "prompts_dev"):
        for source, texts in sorted(_by(rows(folder, name), "source").items()):
            yield f"{name} {source}", texts
    yield from _intents(_by(rows(folder, "intents_dev"), "intent"))


def _pairs(pairs: list[Row]) -> Iterator[tuple[str, list[str]]]:
    same: dict[str, list[str]] = defaultdict(list)
    for row in pairs:
        if row["same"]:
            both = (row["a"], row["b"])
            same[f"same {row['source']}"] += both
            if {"i", "my"} & set(" ".join(both).lower().split()):
                same[f"same {row['source']}, I or my"] += both
    yield from sorted(same.items())


def _intents(texts: dict[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    kind_of = {intent: kind for kind, intents in _KINDS.items() for intent in intents}
    found: dict[str, list[str]] = {f"intents {kind}": [] for kind in _KINDS}
    for name, some in sorted(texts.items()):
        dataset, _, intent = name.partition("/")
        kind = kind_of.get(intent, f"{dataset}, others")
        found.setdefault(f"intents {kind}", []).extend(some)
    yield from found.items()


def _by(given: list[Row], field: str) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = defaultdict(list)
    for row in given:
        texts[row[field]].append(row["text"])
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    print("| texts | number | reuse | reasons of the others |\n|---|---|---|---|")
    spent = count = 0.0
    for name, texts in groups(given.data):
        if given.only not in name or not texts:
            continue
        started = time.perf_counter()
        routes = [route(text) for text in texts]
        spent += time.perf_counter() - started
        count += len(texts)
        reasons = Counter(found.reason for found in routes)
        kept = reasons.pop("", 0)
        told = ", ".join(f"{why[6:]} {n}" for why, n in reasons.most_common())
        print(f"| {name} | {len(texts)} | {kept / len(texts):.4f} | {told} |")
        wanted = name.startswith("intents") and "others" not in name
        shown = [
            f"    {found.reason[6:] or 'reuse'}: {text[:140]}"
            for text, found in zip(texts, routes, strict=True)
            if (found.kind == "reuse") == wanted
        ]
        step = max(1, len(shown) // given.examples) if given.examples else 1
        print("\n".join(shown[::step][: given.examples]), end="\n" if given.examples else "")
    print(f"\n{1e6 * spent / max(count, 1):.1f} us a question")


if __name__ == "__main__":
    main()

"""`invalidate` and `ainvalidate`, as every adapter offers them."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.service import Service


class Invalidating:
    """Ends answers that are no longer right, in every process that shares the namespace."""

    @property
    def _cached_by(self) -> Service:
        raise NotImplementedError

    def invalidate(
        self,
        document: str | Sequence[str] | None = None,
        tag: str | Sequence[str] | None = None,
        *,
        everything: bool = False,
    ) -> int:
        """Remove the answers that were made from a document, or stored with a tag; count them.

        They are gone from Redis, here at once and from the local copies of other processes as soon
        as they hear of it (after `local_max_age_s` at the latest). What is being generated from
        them is not stored. `everything=True` parts from the whole namespace at once, uncounted.

        Args:
            document: Id of a document, or a list of ids.
            tag: A tag of `cache_control(tags=[...])`, or a list of them.
            everything: Invalidate the whole namespace; nothing else may be named.

        Raises:
            StoreTrouble: Redis did not do it: wrong answers may be left.
            ConfigError: Nothing was named, or something beside `everything`.
        """
        return self._cached_by.invalidate(document, tag, everything=everything)

    async def ainvalidate(
        self,
        document: str | Sequence[str] | None = None,
        tag: str | Sequence[str] | None = None,
        *,
        everything: bool = False,
    ) -> int:
        """Like `invalidate`, awaited."""
        return await self._cached_by.ainvalidate(document, tag, everything=everything)

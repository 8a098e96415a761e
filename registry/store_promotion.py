"""The judging half of a store: promote, roll back, compare, diff."""

from collections.abc import Sequence

import pyarrow as pa

from registry.gates import Gate
from registry.judging.compare import Leaderboard, compare, recorded_scores
from registry.judging.diff import Alignment, Diff, Neighborhoods, diff
from registry.keeping.promotion import Terms, promote, rollback
from registry.layout import Reference
from registry.logs.aliases import Alias
from registry.logs.resolve import alias_names, known_versions
from registry.reader import Version
from registry.records_promotion import Promotion
from registry.store_reading import Reading


class Promoting(Reading):
    """Moves aliases, and says which version is better and what changed."""

    def promote(
        self,
        version: Version | str,
        alias: str,
        *,
        gates: Sequence[Gate] = (),
        expect: str | None = "any",
        reason: str | None = None,
        force: bool = False,
    ) -> Promotion:
        """Let an alias such as `production` name a version, if every gate lets it pass.

        >>> store.promote("word/word@v12", "production", gates=[MaxShrink(0.3)], expect="v11")  # doctest: +SKIP

        Two who promote at once never overwrite each other: one moves the alias, the other is told.
        Where the alias names the version already, its last move is returned, and nothing changes.

        Args:
            version: an open version, or a reference to one.
            alias: `[a-z][a-z0-9_-]{0,63}`, but not `latest` and not `v` and digits.
            gates: see `registry.gates`; any function of (candidate, current) is one, too. `current`
                is what the alias names now, None at the first promotion.
            expect: what it must name now: `v11`; None where it must not be set yet; or `any`.
            reason: recorded; a forced promotion needs one.
            force: promote even if gates refuse; what they said is recorded.

        Raises:
            GateFailed: a gate refused; the message lists every gate with its numbers.
            Conflict: the alias names, or meanwhile was given, another version than expected.
            NotFound: there is no such version, or it was erased or retired.
            InvalidName: `alias` could be mistaken for something else.
            InvalidPromotion: forced without a reason, a version of another registry, or a gate that
                answers nonsense.
        """
        candidate = version if isinstance(version, Version) else self[version]
        terms = Terms(gates=gates, expect=expect, reason=reason, force=force)
        return promote(self._catalog, candidate, alias, terms, self._open)

    def rollback(self, name: str, alias: str, *, expect: str | None = "any", reason: str | None = None) -> Promotion:
        """Let an alias name again what it named before its last promotion; repeated, what came before that.

        Versions that are gone are passed over. No gate is asked: the target stood there before.

        Raises:
            AliasNotFound: the alias never was set.
            UnknownVersion: there is no earlier version to go back to.
            Conflict: the alias names, or meanwhile was given, another version than expected.
        """
        return rollback(self._catalog, Reference.parse(name).place, alias, expect=expect, reason=reason)

    def history(self, name: str, alias: str) -> list[Promotion]:
        """Every move of an alias of `entity/name`, oldest first.

        Raises:
            AliasNotFound: the alias never was set; the message lists those there are.
        """
        return Alias(self._catalog, Reference.parse(name).place, alias).history()

    def aliases(self, name: str) -> dict[str, Promotion]:
        """Alias -> its newest move, which says what it names now; empty where none was set.

        Raises:
            UnknownEmbedding: there is no such embedding.
        """
        place = Reference.parse(name).place
        known_versions(self._catalog, place)
        return {alias: self.history(name, alias)[-1] for alias in alias_names(self._catalog, place)}

    def compare(self, pattern: str | Sequence[str], task: str | None = None) -> pa.Table:
        """Scores of several versions in one table: a row each, with task, metric, value, interval and floor.

        >>> store.compare("user/*@latest", task="user_topic")  # doctest: +SKIP

        Args:
            pattern: references with `*` and `?`, such as `user/*@production` or `word/word@*`, which
                is every version; embeddings without such a version are left out.
            task: only this one, `user_topic.v1` or, for whichever protocol, `user_topic`.

        Returns:
            Rows of `registry.judging.compare.SCHEMA`; within task and metric the best comes first.

        Raises:
            UnknownEmbedding: nothing matches the pattern.
            UnknownTask: none of the versions has a score of the task.
        """
        return compare(self._catalog, pattern, task)

    def leaderboard(self, pattern: str | Sequence[str] = "*/*@latest", task: str | None = None) -> Leaderboard:
        """The same scores with tasks down and embeddings across, the best marked; `print` it.

        Raises:
            UnknownEmbedding: nothing matches the pattern.
            UnknownTask: none of the versions has a score of the task.
        """
        return Leaderboard.of(recorded_scores(self._catalog, pattern, task))

    def diff(
        self,
        before: Version | str,
        after: Version | str,
        *,
        align: Alignment | None = None,
        around: Neighborhoods | None = None,
    ) -> Diff:
        """What changed from one version to another: keys, vectors, neighbours; see `registry.judging.diff.Diff`.

        >>> print(store.diff("word/word@v11", "word/word@v12", align="procrustes"))  # doctest: +SKIP

        Args:
            before: the earlier version, open or by reference.
            after: the later one.
            align: `procrustes` turns `before` onto `after` first; None for versions of one space.
            around: whose neighbours to compare; by default the 10 nearest of 1,000 sampled keys.

        Raises:
            SpaceMismatch: they lie in two spaces and `align` is None, or cannot be aligned at all.
            InvalidQuery: `align` is unknown.
        """
        opened = [one if isinstance(one, Version) else self[one] for one in (before, after)]
        return diff(opened[0], opened[1], align, around or Neighborhoods())

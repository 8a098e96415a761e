"""What is tried for a trainer where its spec does not say, and which settings change what its loss means."""

from embedding_assets.reach import suggest
from embedding_assets.search_space import Choice, Dimension, Range, Space
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.tuned import PRUNE, kinds_of_settings
from embedding_assets.tuning.errors import NothingToTune

#: Trainer -> setting -> what is tried. The width is not among them: more of it nearly always scores higher, and
#: every reader pays for it, so it is for a person to choose (`dim=32,64,128` on the command line).
SPACES: dict[str, dict[str, Dimension]] = {
    "Sgns": {
        "epochs": Range(1, 8),
        "learning_rate": Range(0.02, 1.0, log=True),
        "inertia": Range(1.0, 1000.0, log=True),
        "damping": Range(1.0, 5000.0, log=True),
        "k": Choice((2, 5, 10, 15)),
        "noise_exponent": Choice((0.5, 0.75, 1.0)),
        f"{PRUNE}subsample": Range(1e-4, 1e-1, log=True),
    },
    "Svd": {
        "weights": Choice(("raw", "log", "tfidf", "ppmi")),
        "normalize": Choice(("none", "degree")),
        "spread": Choice(("half", "sources", "destinations")),
        "rounds": Range(1, 5),
        f"{PRUNE}min_pair_count": Range(1, 5),
    },
    "Als": {
        "epochs": Range(3, 30),
        "regularization": Range(1e-3, 100.0, log=True),
        "alpha": Range(0.1, 100.0, log=True),
        f"{PRUNE}min_pair_count": Range(1, 5),
    },
}
SPACES["WalkSgns"] = {**SPACES["Sgns"], "reach": Range(2, 10), "walks": Range(2, 16)}

#: Settings under which a trainer's loss is another number: curves are compared only where these agree. All of
#: `prune` is among them, for it changes what is trained on.
LOSS_UNIT: dict[str, frozenset[str]] = {
    "Sgns": frozenset({"dim", "k", "negatives", "noise_exponent"}),
    "WalkSgns": frozenset({"dim", "k", "length", "negatives", "noise_exponent", "reach", "walks"}),
    "Svd": frozenset({"dim", "oversampling", "weights", "normalize"}),
    "Als": frozenset({"alpha", "feedback", "regularization"}),
}


def space_of(spec: EmbeddingSpec, declared: Space | None = None) -> Space:
    """What is tried for `spec`, in the order of the names.

    Args:
        spec: the embedding.
        declared: instead of what `SPACES` has for its trainer.

    Raises:
        NothingToTune: the trainer has no usual space and none is declared, or a name is no setting.
    """
    trainer = type(spec.trainer).__name__
    space = next((SPACES[name] for name in _kinds(spec) if name in SPACES), {}) if declared is None else declared
    known = kinds_of_settings(spec)
    if not space:
        raise NothingToTune(
            f"nothing is known about tuning {trainer}, the trainer of {spec.name!r}: give SPEC.tuning a space, "
            f"or name what to try; its settings are {', '.join(known)}"
        )
    for name in space:
        if name not in known:
            raise NothingToTune(f"{spec.name!r} has no setting {name!r} to try{suggest(name, known)}")
    return dict(sorted(space.items()))


def loss_unit(spec: EmbeddingSpec, space: Space) -> tuple[str, ...]:
    """Settings of `space` that two trials must share for their losses to be compared."""
    # Of a trainer that nobody has described, curves are compared between trials with all settings alike: never.
    own = next((LOSS_UNIT[name] for name in _kinds(spec) if name in LOSS_UNIT), frozenset(space))
    return tuple(name for name in space if name in own or name.startswith(PRUNE))


def _kinds(spec: EmbeddingSpec) -> list[str]:
    """Names of the trainer's class and of those that it is derived from, the nearest first."""
    return [kind.__name__ for kind in type(spec.trainer).__mro__]

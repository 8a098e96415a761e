"""What is held out, how its loss is measured, and what a fit makes of it."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
from contracts import Interrupted, digest, fit_with_interruptions, interrupt, planted_table, random_table
from scipy.special import log_expit

from embedding_assets.records import PairTable
from embedding_assets.trainers.errors import InvalidPairTable
from embedding_assets.trainers.held_out import HeldOut, Seen, split
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.sgns_fit import hold_out

#: Far too many epochs at far too high a rate for 60 ids: the held-out loss falls, then rises.
EAGER = Sgns(dim=16, epochs=12, learning_rate=0.6, inertia=0.0, held_out=0.2, device="cpu")


def test_both_parts_add_up_and_the_share_is_as_asked(rng):
    counts = as_matrix(random_table(rng, 90, 70, 3000))
    kept, drawn = split(counts, 0.2, rng, mirrored=False)
    np.testing.assert_allclose((kept + drawn).toarray(), counts.toarray(), rtol=1e-6)
    assert kept.data.min() > 0
    assert drawn.data.min() > 0
    assert drawn.sum() / counts.sum() == pytest.approx(0.2, abs=0.01)


def test_fractional_counts_are_drawn_whole_or_in_equal_parts(rng):
    counts = sp.csr_array(np.array([[0.25, 2.5], [1.0, 0.0]], np.float32))
    seen = set()
    for _ in range(50):
        drawn = split_or_none(counts, rng)
        if drawn is not None:
            seen |= {(i, j, float(drawn[i, j])) for i in range(2) for j in range(2) if drawn[i, j]}
    parts = {value for i, j, value in seen if (i, j) == (0, 1)}
    assert {value for i, j, value in seen if (i, j) == (0, 0)} == {0.25}
    assert sorted(parts) == pytest.approx([2.5 / 3, 5 / 3, 2.5])


def split_or_none(counts: sp.csr_array, rng: np.random.Generator) -> np.ndarray | None:
    try:
        return split(counts, 0.5, rng, mirrored=False)[1].toarray()
    except InvalidPairTable:  # all or nothing was drawn of three pairs
        return None


def test_a_mirrored_table_stays_mirrored(rng):
    counts = as_matrix(planted_table())
    for part in split(counts, 0.1, rng, mirrored=True):
        np.testing.assert_array_equal(part.toarray(), part.toarray().T)


def test_loss_matches_the_plain_objective(rng):
    V_row, V_col, D = 4, 6, 3
    pairs = rng.integers(0, 4, (V_row, V_col)).astype(np.float32)
    pairs[1] = 0  # a center without held-out pairs is never drawn
    noise, centers, contexts = rng.random(V_col), rng.standard_normal((V_row, D)), rng.standard_normal((V_col, D))
    held = HeldOut(sp.csr_array(pairs), noise, np.random.default_rng(3))
    got = held.loss(centers.astype(np.float32), contexts.astype(np.float32))
    scores, mass = centers @ contexts.T, pairs.sum(axis=1)
    drawn = np.random.default_rng(3).choice(V_row, 512, p=mass / mass.sum())
    positive = -(pairs * log_expit(scores)).sum() / pairs.sum()
    negative = -(log_expit(-scores[drawn]) @ noise).mean()
    assert got == pytest.approx(positive + negative, rel=1e-5)
    assert 1 not in drawn


def pairs_seen_once() -> PairTable:
    """What is held out of it was never seen, so learning the rest by heart does harm."""
    table = planted_table()
    return dataclasses.replace(table, counts=np.ones_like(table.counts))


def test_the_best_epoch_is_returned():
    result = EAGER.fit(pairs_seen_once())
    losses = result.extras["held_out_losses"]
    best = int(losses.argmin()) + 1
    assert 1 < best < len(losses) == EAGER.epochs
    assert result.metrics["best_epoch"] == best
    assert result.metrics["held_out_loss"] == losses[best - 1]
    _, held = hold_out(EAGER, pairs_seen_once(), np.random.default_rng(EAGER.seed).spawn(3)[1])
    assert held is not None
    assert held.loss(*(side.vectors for side in result.tables)) == losses.min() < losses[-1]


def test_patience_ends_a_fit_and_changes_nothing_before():
    table = pairs_seen_once()
    whole = EAGER.fit(table)
    losses = whole.extras["held_out_losses"]
    end = next(n for n in range(1, len(losses) + 1) if n - (losses[:n].argmin() + 1) == 1)
    patient = Sgns(**{**vars(EAGER), "patience": 1}).fit(table)
    assert len(patient.loss_curve) == end < EAGER.epochs
    assert patient.loss_curve == whole.loss_curve[:end]
    assert patient.extras["held_out_losses"].tolist() == losses[:end].tolist()
    assert patient.metrics["best_epoch"] == losses[:end].argmin() + 1


def test_a_fit_out_of_patience_is_resumed_to_the_same_bytes(tmp_path):
    trainer = Sgns(**{**vars(EAGER), "patience": 2})
    whole = trainer.fit(planted_table())
    resumed, stopped = fit_with_interruptions(trainer, tmp_path / "state")
    assert len(stopped) == len(whole.loss_curve)
    assert resumed.extras["held_out_losses"].tolist() == whole.extras["held_out_losses"].tolist()
    assert digest(resumed) == digest(whole)


def test_of_equal_epochs_the_first_is_best():
    first, second = (np.zeros((2, 2)), np.zeros((2, 2))), (np.ones((2, 2)), np.ones((2, 2)))
    seen = Seen().after(1.5, first).after(1.5, second)
    assert seen.best is first
    assert (seen.best_epoch(), seen.epochs_since_best()) == (1, 1)


def test_nothing_left_to_train_on_is_a_typed_error(rng):
    with pytest.raises(InvalidPairTable, match=r"holding out 0.01 of 3 pairs leaves one part empty"):
        Sgns(dim=2, held_out=0.01, device="cpu").fit(random_table(rng, 5, 5, 3))


def test_a_checkpoint_written_without_held_out_pairs_is_other_work(tmp_path):
    plain = Sgns(dim=4, epochs=2, device="cpu")
    with pytest.raises(Interrupted):
        plain.fit(planted_table(), checkpoint=tmp_path / "state", progress=interrupt)
    watched = Sgns(dim=4, epochs=2, held_out=0.1, device="cpu")
    assert digest(watched.fit(planted_table(), checkpoint=tmp_path / "state")) == digest(watched.fit(planted_table()))

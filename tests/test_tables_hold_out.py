import numpy as np
import pytest

from embedding_assets.tables.hold_out import is_held_out

RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.integers(2**60, size=(2, 20_000))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_about_the_share_is_held_out_the_same_in_both_directions(share):
    held = is_held_out(FIRST, SECOND, share=share)
    assert abs(held.mean() - share) < 0.02
    np.testing.assert_array_equal(held, is_held_out(SECOND, FIRST, share=share))


def test_a_larger_share_holds_out_the_same_pairs_and_more_and_another_seed_others():
    small, large = (is_held_out(FIRST, SECOND, share=share) for share in (0.1, 0.3))
    assert (large | ~small).all()
    other = is_held_out(FIRST, SECOND, share=0.1, seed=1)
    assert abs((small & other).mean() - 0.01) < 0.005

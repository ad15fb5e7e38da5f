"""Beam search: the bookkeeping by hand."""

import math

import numpy as np
import pytest

from model_core.beam import Beam, BeamSearch, Candidates, RowCopy
from tests.oracle import (
    every_sequence,
)

END = 0


def offer(**shares: float) -> Candidates:
    """Candidates from shares by token, ``t3=0.5``; written best first."""
    return Candidates(
        [int(name[1:]) for name in shares], [math.log(share) for share in shares.values()]
    )


def test_likeliest_sums_run_on_and_rows_follow_their_beams() -> None:
    search = BeamSearch(rows=(5, 7), max_new_tokens=9, end_id=END)
    # Two children of row 5: the better one stays, the other takes the row that nobody holds.
    assert search.advance({5: offer(t3=0.5, t4=0.3, t5=0.1)}).copies == [RowCopy(5, 7)]
    assert {row: beam.token_ids for row, beam in search.beams.items()} == {5: (3,), 7: (4,)}
    # 0.3 * 0.9 beats 0.5 * 0.4, and both children of row 7 beat the other child of row 5.
    advance = search.advance({5: offer(t1=0.3, t2=0.2), 7: offer(t8=0.6, t9=0.4)})
    assert [beam.token_ids for beam in search.beams.values()] == [(4, 8), (3, 1)]
    assert (advance.copies, search.parents) == ([], {5, 7})
    advance = search.advance({7: offer(t1=0.5, t2=0.45), 5: offer(t1=0.2, t2=0.1)})
    assert advance.copies == [RowCopy(7, 5)]
    assert search.beams[5] == Beam((4, 8, 2), (5, 7, 7), pytest.approx(math.log(0.3 * 0.6 * 0.45)))


def test_end_mark_finishes_a_beam_only_among_the_first() -> None:
    search = BeamSearch((0, 1), 9, END)
    advance = search.advance({0: offer(t1=0.5, t2=0.3, t0=0.1, t3=0.05)})
    assert advance.finished == []
    advance = search.advance({0: offer(t0=0.9, t1=0.05), 1: offer(t1=0.7, t0=0.2)})
    assert [beam.token_ids for beam in advance.finished] == [(1, 0)]
    assert [beam.token_ids for beam in search.beams.values()] == [(2, 1), (1, 1)]


def test_search_ends_when_no_running_beam_scores_better() -> None:
    search = BeamSearch((0, 1), 9, END)
    search.advance({0: offer(t1=0.5, t0=0.4, t2=0.1)})
    assert not search.is_done  # one of two has finished
    step = {row: offer(t0=0.6, t3=0.4) for row in search.beams}
    search.advance(step)
    # Finished: (1, 0) with ln 0.3 / 2 = -0.60, (0,) with ln 0.4 = -0.92.
    # The likeliest that runs: ln 0.2 / 2 = -0.80.
    assert not search.is_done
    step = {row: offer(t3=0.1, t4=0.01) for row in search.beams}
    search.advance(step)
    # Now it has ln 0.02 / 3 = -1.30.
    assert search.is_done
    assert [beam.token_ids for beam in search.finished] == [(1, 0), (0,)]
    assert search.leader == search.finished[0]


@pytest.mark.parametrize(("length_penalty", "winner"), [(0.0, (0,)), (1.0, (1, 0)), (2.0, (1, 0))])
def test_length_penalty_favours_longer_beams(
    length_penalty: float, winner: tuple[int, ...]
) -> None:
    search = BeamSearch((0, 1), 2, END, length_penalty)
    search.advance({0: offer(t1=0.5, t0=0.4, t2=0.1)})
    search.advance({row: offer(t0=0.6, t3=0.4) for row in search.beams})
    assert search.finished[0].token_ids == winner


def test_beams_that_reach_the_limit_finish_as_they_are() -> None:
    search = BeamSearch((0, 1), 1, END)
    search.advance({0: offer(t3=0.5, t4=0.3, t0=0.2)})
    assert [beam.token_ids for beam in search.finished] == [(3,), (4,)]
    assert search.is_done


def test_fewer_candidates_than_beams_are_enough() -> None:
    search = BeamSearch((0, 1, 2), 2, END)
    assert search.advance({0: offer(t1=0.7, t2=0.3)}).copies == [RowCopy(0, 1)]
    search.advance({row: offer(t1=0.7, t2=0.3) for row in search.beams})
    assert [beam.token_ids for beam in search.finished] == [(1, 1), (1, 2), (2, 1)]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("seed", range(3))
def test_width_that_leaves_nothing_out_finds_the_best_of_all(
    seed: int, length_penalty: float
) -> None:
    num_tokens, length, width = 4, 4, 108
    shares: dict[tuple[int, ...], np.ndarray] = {}
    generator = np.random.default_rng(seed)

    def log_probabilities(prefix: tuple[int, ...]) -> np.ndarray:
        if prefix not in shares:
            shares[prefix] = np.log(generator.dirichlet(np.ones(num_tokens)))
        return shares[prefix]

    search = BeamSearch(range(width), length, END, length_penalty)
    while not search.is_done:
        offers = {}
        for row, beam in search.beams.items():
            values = log_probabilities(beam.token_ids)
            best = np.argsort(-values)
            offers[row] = Candidates(best.tolist(), values[best].tolist())
        search.advance(offers)
    totals = {
        tokens: sum(log_probabilities(tokens[:step])[token] for step, token in enumerate(tokens))
        for tokens in every_sequence(num_tokens, length, END)
    }
    expected = max(totals, key=lambda tokens: totals[tokens] / len(tokens) ** length_penalty)
    assert search.finished[0].token_ids == expected
    assert search.finished[0].log_probability == pytest.approx(totals[expected])

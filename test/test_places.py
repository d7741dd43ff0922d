# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Places are found again by what they look like and by where they are; ways lead between them."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from wm_controller.memory.map_correction import fitted, misfit
from wm_controller.memory.places import Places
from wm_controller.memory.ways import BLOCKED_S, Ways
from wm_controller.safety.geometry import chained, compose, relative, wrap_angle

LOOSE = np.ones(3)


def some_places(count, width=192, seed=0):
    rng = np.random.default_rng(seed)
    places = Places(width)
    # Latents are far from round: a few directions hold most of what varies.
    descriptors = (rng.standard_normal((count, 24)) * np.geomspace(3, 0.3, 24)) @ (
        rng.standard_normal((24, width)) / 5)
    poses = np.column_stack([rng.uniform(-20, 20, (count, 2)), rng.uniform(-3, 3, count)])
    for i in range(count):
        places.add(poses[i], descriptors[i], float(i), bytes([i % 256]))
    return places, poses, descriptors


def test_what_looks_alike_is_what_a_search_through_all_would_find():
    places, _, descriptors = some_places(3000)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(50):
        asked = descriptors[rng.integers(3000)] + 0.1 * rng.standard_normal(192)
        numbers, off = places.alike(asked, 5)
        distance = np.sqrt(((descriptors - asked) ** 2).mean(-1))
        hits += len(set(numbers) & set(np.argsort(distance)[:5]))
        assert off == pytest.approx(distance[numbers], abs=1e-4)
        assert (np.diff(off) >= 0).all()
    assert hits >= 245


def test_a_search_may_be_kept_to_some_places():
    places, poses, descriptors = some_places(400)
    among = poses[:, 0] > 0
    numbers, _ = places.alike(descriptors[3], 8, among)
    assert among[numbers].all() and len(numbers) == 8
    assert len(places.alike(descriptors[3], 8, np.zeros(400, bool))[0]) == 0


def test_places_are_found_by_where_they_are():
    places, poses, _ = some_places(1000)
    found = places.near([2.0, -3.0], 4.0)
    away = np.hypot(poses[:, 0] - 2.0, poses[:, 1] + 3.0)
    assert set(found) == set(np.flatnonzero(away <= 4.0))
    assert (np.diff(away[found]) >= 0).all()
    number = int(found[0])
    assert places.view(poses[number], 0.01, 0.1) == number
    assert places.view(poses[number] + [0, 0, 1.5], 0.01, 0.1) is None


def test_what_is_kept_is_numbered_anew():
    places, poses, descriptors = some_places(700)
    kept = [5, 17, 400, 699]
    places.keep(kept)
    assert len(places) == 4
    assert places.poses == pytest.approx(poses[kept])
    assert places.pictures == [bytes([i % 256]) for i in kept]
    assert places.alike(descriptors[400], 1)[0][0] == 2
    assert places.add(np.zeros(3), descriptors[0], 9.0) == 4


def test_the_look_of_a_place_may_change():
    places, _, descriptors = some_places(300)
    new = descriptors[7] + 10.0
    places.refresh(7, new, 1e6, b'later')
    assert places.alike(new, 1)[0][0] == 7
    assert places.pictures[7] == b'later' and places.seen[7] == 1e6


def chain(count, time_s=1.0):
    ways = Ways()
    for i in range(count - 1):
        ways.join(i, i + 1, time_s, np.array([0.5, 0.0, 0.0]), LOOSE)
    return ways


def test_a_route_is_the_quickest():
    ways = chain(6)
    ways.join(1, 4, 1.5, np.zeros(3), LOOSE)
    reach = ways.to(np.array([5]), np.zeros(1), 6, 0.0)
    assert reach.route(0) == [0, 1, 4, 5]
    assert reach.time_s[0] == pytest.approx(3.5)
    assert reach.route(5) == [5]


def test_of_several_goals_the_one_that_is_best_with_its_own_time_is_reached():
    ways = chain(6)
    reach = ways.to(np.array([0, 5]), np.array([0.0, 3.0]), 6, 0.0)
    assert reach.route(3) == [3, 2, 1, 0]
    assert reach.route(5) == [5]
    assert reach.time_s[4] == pytest.approx(4.0)


def test_a_blocked_way_is_routed_around_and_tried_again_later():
    ways = chain(4)
    long = ways.join(0, 3, 9.0, np.zeros(3), LOOSE)
    number = ways.between(2, 1)
    ways.failed(number, 100.0)

    def route(stamp):
        return ways.to(np.array([3]), np.zeros(1), 4, stamp).route(0)
    assert route(101.0) == [0, 3]
    assert route(100.0 + BLOCKED_S) == [0, 1, 2, 3]
    ways.failed(number, 200.0)
    assert route(200.0 + 1.5 * BLOCKED_S) == [0, 3]  # the second time, for longer
    ways.driven(number)
    assert route(201.0) == [0, 1, 2, 3]
    ways.failed(number, 300.0)
    ways.failed(long, 300.0)
    assert route(301.0) == []  # unreachable, and said so


def test_the_quicker_of_two_drives_counts():
    ways = chain(2, time_s=3.0)
    assert ways.join(1, 0, 2.0, np.zeros(3), LOOSE) == 0
    assert len(ways) == 1 and ways.times[0] == 2.0
    for bad in ((0, 0, 1.0), (0, 1, 0.0), (0, 1, float('nan'))):
        with pytest.raises(ValueError, match='no way'):
            ways.join(*bad, np.zeros(3), LOOSE)


@given(st.integers(0, 10_000), st.integers(4, 40), st.floats(0.2, 0.9))
def test_places_may_be_forgotten_but_not_the_ways_through_them(seed, count, share):
    rng = np.random.default_rng(seed)
    truth = np.column_stack([rng.uniform(0, 9, (count, 2)), rng.uniform(-3, 3, count)])
    ways = Ways()

    def join(a, b):
        change = relative(truth[a], truth[b])
        ways.join(a, b, float(np.hypot(*change[:2])) + 0.1, change, np.full(3, 0.1))
    for i in range(1, count):
        join(int(rng.integers(i)), i)  # a tree: from every place there is one way to every other
    kept = np.sort(rng.permutation(count)[:max(2, int(share * count))])
    before = ways.to(kept[:1], np.zeros(1), count, 0.0).time_s[kept]
    ways.keep(kept)
    after = ways.to(np.array([0]), np.zeros(1), len(kept), 0.0)
    assert after.time_s == pytest.approx(before)
    # and each joined way says how the one lies as seen from the other
    assert misfit(truth[kept], ways.ends, ways.changes, ways.sigmas) == pytest.approx(
        np.zeros(len(ways)), abs=1e-6)


def loop(seed=0, drift=0.02):
    """A square of 8 m sides driven twice: the truth, and what odometry makes of it."""
    rng = np.random.default_rng(seed)
    step, corner = [0.5, 0.0, 0.0], [0.5, 0.0, np.pi / 2]
    changes = np.array(([step] * 15 + [corner]) * 8)
    noisy = changes + np.column_stack([
        0.01 * rng.standard_normal((len(changes), 2)),
        drift + 0.005 * rng.standard_normal(len(changes))])
    return chained(changes), chained(noisy), noisy


def test_a_closed_loop_spreads_the_drift_over_the_way():
    truth, driven, changes = loop()
    count = len(truth)
    ends = [(i, i + 1) for i in range(count - 1)]
    sigmas = [[0.02, 0.02, 0.02]] * (count - 1)
    closures = [(i, i + 64) for i in range(0, 64, 8)]
    measured = [relative(truth[a], truth[b]) for a, b in closures]
    better = fitted(driven, np.array(ends + closures), np.concatenate([changes, measured]),
                    np.array(sigmas + [[0.05, 0.05, 0.03]] * len(closures)),
                    np.arange(count - 1 + len(closures)) >= count - 1)

    def error(poses):
        return np.hypot(*(poses - truth)[:, :2].T)
    assert error(driven).max() > 3.0
    # What all loops have in common is not told by closing them; shape, and being closed, is.
    assert error(better).mean() < 0.5 * error(driven).mean()
    assert np.hypot(*(better[64] - better[0])[:2]) < 0.15


def test_a_place_mistaken_for_another_does_not_tear_the_map():
    truth, _, _ = loop()
    ends = [(i, i + 1) for i in range(len(truth) - 1)] + [(0, 30)]
    changes = [relative(truth[a], truth[b]) for a, b in ends[:-1]] + [np.zeros(3)]
    sigmas = np.full((len(ends), 3), 0.02)
    doubtful = np.arange(len(ends)) == len(ends) - 1
    fit = fitted(truth, np.array(ends), np.array(changes), sigmas, doubtful)
    assert np.hypot(*(fit - truth)[:, :2].T).max() < 0.05
    assert misfit(fit, np.array(ends), np.array(changes), sigmas)[-1] > 50


def sighted(seed, false):
    """A drift along a loop, a sight every other place, some `false` by about a metre.

    Returns arguments of `fitted`, the sights last. Two ways before them were never measured.
    """
    truth, driven, changes = loop(seed, drift=0.005)
    rng = np.random.default_rng(seed)
    ends = [(i, i + 1) for i in range(len(truth) - 1)]
    guessed, sights = [(3, 40), (10, 90)], [(i, i + 64) for i in range(0, 64, 2)]
    seen = relative(truth[[a for a, _ in sights]], truth[[b for _, b in sights]])
    seen = seen + [0.03, 0.03, 0.02] * rng.standard_normal(seen.shape)
    seen[false, :2] += rng.choice([-1.0, 1.0], (len(false), 2)) * rng.uniform(
        0.6, 1.2, (len(false), 2))
    counts = [len(ends), len(guessed), len(sights)]
    return (driven, np.array(ends + guessed + sights),
            np.concatenate([changes, np.zeros((2, 3)), seen]),
            np.repeat([[0.02, 0.02, 0.02], [np.inf] * 3, [0.05, 0.05, 0.03]], counts, axis=0),
            np.repeat([False, False, True], counts))


def without(arguments, left_out):
    """The same, less some measurements."""
    kept = np.setdiff1d(np.arange(len(arguments[1])), left_out)
    return (arguments[0], *(each[kept] for each in arguments[1:]))


@pytest.mark.parametrize('seed', range(3))
def test_many_places_mistaken_for_others_are_left_out_and_the_rest_hold(seed):
    false = np.random.default_rng(seed).choice(32, 3, replace=False)
    drive = sighted(seed, false)
    poses, ends, changes, sigmas, doubtful = drive
    fit = fitted(*drive)
    off = misfit(fit, ends, changes, sigmas)[doubtful]
    assert set(np.argsort(-off)[:3]) == set(false) and np.delete(off, false).max() < 3.4
    best = fitted(*without(drive, np.flatnonzero(doubtful)[false])[:-1])
    assert np.abs(fit - best).max() < 0.005, 'as if nobody had told of them'


@pytest.mark.parametrize('newest_is_false', [False, True])
def test_a_new_sight_is_fitted_as_if_all_had_been_doubted_anew(newest_is_false):
    drive = sighted(1, np.array([4, 11, 31] if newest_is_false else [4, 11, 20]))
    newest = len(drive[1]) - 1
    before = fitted(*without(drive, [newest]))
    after = fitted(before, *drive[1:], newest=newest)
    assert np.abs(after - fitted(before, *drive[1:])).max() < 1e-3
    assert (np.abs(after - before).max() > 1e-3) != newest_is_false


def test_sights_that_were_believed_are_doubted_when_more_of_them_say_otherwise():
    """A false sight comes first and bends the map; then right ones, one after the other."""
    drive = sighted(0, np.array([0]))
    sights = np.flatnonzero(drive[4])
    poses = drive[0]
    for count in range(1, len(sights) + 1):
        known = without(drive, sights[count:])
        poses = fitted(poses, *known[1:], newest=len(known[1]) - 1)
        if count == 1:
            assert misfit(poses, *drive[1:4])[sights[0]] < 1.0, 'there is nothing to doubt it by'
    off = misfit(poses, *drive[1:4])[sights]
    assert off[0] > 3.4 > off[1:].max()


@given(st.integers(0, 1000))
def test_what_fits_already_stays(seed):
    rng = np.random.default_rng(seed)
    poses = np.column_stack([rng.uniform(-5, 5, (12, 2)), rng.uniform(-3, 3, 12)])
    ends = np.array([(i, j) for i in range(12) for j in range(i) if rng.random() < 0.5]
                    or [(1, 0)])
    changes = relative(poses[ends[:, 0]], poses[ends[:, 1]])
    moved = compose(np.array([1.0, -2.0, 0.5]), poses)
    for start in (poses, moved):  # wherever it lies, and whichever way it is turned
        fit = fitted(start, ends, changes, np.full((len(ends), 3), 0.1))
        assert np.abs(fit[:, :2] - start[:, :2]).max() < 1e-6
        assert np.abs(wrap_angle(fit[:, 2] - start[:, 2])).max() < 1e-6

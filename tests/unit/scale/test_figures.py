"""Figures from samples."""

import pytest

from tests.scale.figures import normal_again_s, per_unit, quantile, trend, windows_p99


def test_a_quantile_is_one_of_the_values():
    """The share of all that it does not exceed decides which."""
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(range(100), 0.99) == 99
    assert quantile([7], 0.99) == 7


def test_each_second_has_a_p99_of_its_own():
    """What was sent before the beginning does not count."""
    took = [(9.5, 900.0), (10.1, 5.0), (10.9, 7.0), (12.0, 3.0)]
    assert windows_p99(took, since_s=10) == {0: 7.0, 2: 3.0}


def test_latency_is_normal_again_from_the_first_of_enough_normal_seconds():
    """One good second between bad ones is not enough, and one without an answer is a bad one."""
    windows = {0: 90.0, 1: 10.0, 2: 80.0, 3: 10.0, 4: 9.0, 6: 8.0, 7: 9.0, 8: 10.0}
    assert normal_again_s(windows, normal_max=10, in_a_row=3) == 6
    assert normal_again_s(windows, normal_max=10, in_a_row=4) is None
    assert normal_again_s({}, normal_max=10, in_a_row=1) is None


def test_a_trend_tells_what_grows_an_hour():
    """A value that grows by one in ten seconds grows by 360 in an hour; what settles at first is left out."""
    grows = [(10.0 * n, 1000.0 if n == 0 else float(n)) for n in range(10)]
    found = trend(grows)
    assert found["slope_per_h"] == pytest.approx(360)
    assert (found["first_third"], found["last_third"], found["max"]) == (2, 8, 9)


def test_too_few_samples_have_no_trend():
    """Two looks say nothing of the long run."""
    with pytest.raises(ValueError, match="too few"):
        trend([(0.0, 1.0), (10.0, 2.0)])


def test_what_is_used_at_rest_is_taken_off():
    """A counter that also moves without work is charged for the rest alone, and never with less than nothing."""
    at_rest, each = per_unit(
        ({"cpu": 0.0, "noise": 0.0}, {"cpu": 10.0, "noise": 100.0}, 10.0),
        ({"cpu": 10.0, "noise": 100.0}, {"cpu": 130.0, "noise": 110.0}, 20.0),
        50,
    )
    assert at_rest == {"cpu": 1.0, "noise": 10.0}
    assert each == {"cpu": 2.0, "noise": 0.0}

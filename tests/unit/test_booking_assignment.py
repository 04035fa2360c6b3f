"""Which arm a user is in: balanced, independent between experiments, stable, moved no more than needed."""

import itertools
from collections import Counter

import pytest

from workloads.booking_api import experiment
from workloads.booking_api.assignment import arm_of
from workloads.common import HopelessError

USERS = [f"user-{number}" for number in range(20_000)]
"""Always the same, so that a test holds or does not."""
CRITICAL = {1: 10.83, 2: 13.82, 8: 26.12}
"""Of chi-squared at p = 0.001, by degrees of freedom (any table of the distribution)."""
HALVES = {"stable": 0.5, "canary": 0.5}
THIRDS = {"a": 0.5, "b": 0.3, "c": 0.2}


def chi_squared(found: list[int], expected: list[float]) -> float:
    return sum((seen - wanted) ** 2 / wanted for seen, wanted in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["delay-v4", "prices", "x"])
@pytest.mark.parametrize("arms", [HALVES, THIRDS, {"stable": 0.95, "canary": 0.05}])
def test_each_arm_gets_its_share(name: str, arms: dict[str, float]) -> None:
    counts = Counter(arm_of(name, arms, user) for user in USERS)
    expected = [len(USERS) * share for share in arms.values()]
    assert chi_squared([counts[arm] for arm in arms], expected) < CRITICAL[len(arms) - 1]


def test_two_experiments_divide_users_independently() -> None:
    """Each cell of the table of both has the product of its margins."""
    pairs = Counter((arm_of("delay-v4", THIRDS, user), arm_of("delay-v5", THIRDS, user)) for user in USERS)
    cells = list(itertools.product(THIRDS, THIRDS))
    expected = [len(USERS) * THIRDS[one] * THIRDS[other] for one, other in cells]
    assert chi_squared([pairs[cell] for cell in cells], expected) < CRITICAL[8]


def test_the_same_words_divided_otherwise_are_another_user() -> None:
    assert {arm_of("a", HALVES, f"b{n}") == arm_of("ab", HALVES, f"{n}") for n in range(50)} == {True, False}


GOLDEN = {
    "delay-v4": "baabbabbaaacbbcabcaaaacaccbabaacababcaac",
    "prices": "baacacbaaaaaacabaabbaaacabacabbbabbacaca",
}
"""The arms (first letters) of the first users. They never change: a user who was assigned stays."""


@pytest.mark.parametrize("name", GOLDEN)
def test_assignments_stay_as_they_were(name: str) -> None:
    assert "".join(arm_of(name, THIRDS, user) for user in USERS[:40]) == GOLDEN[name]


def test_the_order_of_arms_and_the_unit_of_shares_do_not_matter() -> None:
    turned = dict(reversed([(arm, share * 100) for arm, share in THIRDS.items()]))
    assert all(arm_of("x", THIRDS, user) == arm_of("x", turned, user) for user in USERS[:2000])


def moved(before: dict[str, float], after: dict[str, float]) -> Counter[tuple[str, str]]:
    """How many users change from which arm to which."""
    both = ((arm_of("x", before, user), arm_of("x", after, user)) for user in USERS)
    return Counter(pair for pair in both if pair[0] != pair[1])


def test_when_an_arm_grows_users_only_come_to_it_and_no_more_than_its_growth() -> None:
    found = moved({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.6, "b": 0.24, "c": 0.16})
    assert {to for _, to in found} == {"a"}
    spread = (len(USERS) * 0.1 * 0.9) ** 0.5
    assert abs(found.total() - len(USERS) * 0.1) < 4 * spread


def test_an_arm_that_ends_gives_its_users_away_and_nobody_else_moves() -> None:
    found = moved({"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.625, "b": 0.375, "c": 0})
    assert {of for of, _ in found} == {"c"}
    assert found.total() == Counter(arm_of("x", THIRDS, user) for user in USERS)["c"]


def test_an_arm_without_a_share_gets_nobody() -> None:
    assert {arm_of("x", {"a": 1, "b": 0}, user) for user in USERS[:1000]} == {"a"}


def test_an_experiment_is_read_and_none_is_no_experiment() -> None:
    found = experiment.parse(experiment.EXAMPLE)
    assert found is not None
    assert (found.name, found.arms) == ("delay-v4", {"stable": 0.9, "canary": 0.1})
    assert found.arm_of("user-1") == arm_of("delay-v4", found.arms, "user-1")
    assert experiment.parse(" \n") is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "Invalid JSON"),
        ('{"arms": {"a": 0.5, "b": 0.5}}', "name: Field required"),
        ('{"name": "x", "arms": {"a": 1}}', "arms: Dictionary should have at least 2 items"),
        ('{"name": "x", "arms": {"a": 0.5, "b": 0.4}}', "the shares must add up to 1, they add up to 0.9"),
        (
            '{"name": "x", "arms": {"a": 1.5, "b": -0.5}}',
            "arms.b: Input should be greater than or equal to 0",
        ),
        ('{"name": "x", "arms": {"a": 0.5, "B b": 0.5}}', "String should match pattern"),
        ('{"name": "x\\r\\ny", "arms": {"a": 0.5, "b": 0.5}}', "name: String should match pattern"),
        ('{"name": "x", "arms": {"a": 0.5, "b": 0.5}, "salt": 1}', "salt: Extra inputs are not permitted"),
        ('{"name": "x", "arms": {"a": NaN, "b": 0.5}}', "arms.a"),
    ],
)
def test_what_is_no_experiment_is_refused_with_the_cause_and_an_example(text: str, cause: str) -> None:
    with pytest.raises(HopelessError) as refused:
        experiment.parse(text)
    assert cause in str(refused.value)
    assert str(refused.value).startswith("EXPERIMENT is not an experiment (")
    assert str(refused.value).endswith(experiment.EXAMPLE)

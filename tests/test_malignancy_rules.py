"""The label rules by hand arithmetic."""

from __future__ import annotations

import pytest

from lungscan.malignancy_rules import DEFAULT, RULES


@pytest.mark.parametrize(
    ("ratings", "two_of_four", "mean", "any_reader", "majority", "median"),
    [
        ((5, 5, 5, 4), True, True, True, True, True),
        ((4, 2, 4, 2), True, None, True, False, None),  # mean 3, median 3, two of four
        ((3, 2, 3), False, False, False, False, None),  # mean 2.67, median 3
        ((5, 3, 4), True, True, True, True, True),
        ((1, 1, 1, 5), False, False, True, False, False),  # mean 2, median 1
        ((3, 3, 3, 4), False, True, True, False, None),  # mean 3.25
        ((4, 4, 1, 1), True, False, True, False, None),  # mean 2.5, median 2.5
        ((4,), False, True, True, True, True),
        ((3, 5), False, True, True, False, True),  # median 4
        ((2, 2), False, False, False, False, False),
        ((), None, None, None, None, None),
    ],
)
def test_ratings_become_labels(ratings, two_of_four, mean, any_reader, majority, median) -> None:
    labels = {name: rule.label(ratings) for name, rule in RULES.items()}
    assert labels == {
        "two-of-four": two_of_four,
        "mean": mean,
        "any": any_reader,
        "majority": majority,
        "indeterminate-left-out": median,
    }


def test_the_default_agrees_with_the_books_table(data) -> None:
    """Deep Learning with PyTorch publishes each LUNA16 nodule's ratings with the label its rule gave."""
    import ast
    import csv

    with (data / "book" / "annotations_with_malignancy.csv").open() as file:
        rows = list(csv.DictReader(file))
    rated = [(ast.literal_eval(row["mal_details"]), row["mal_bool"] == "True") for row in rows]
    assert len(rated) > 1000
    wrong = [pair for pair in rated if bool(RULES[DEFAULT].label(pair[0])) != pair[1]]
    assert not wrong

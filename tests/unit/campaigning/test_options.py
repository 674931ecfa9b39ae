"""Which seeds or parts of a release are run."""

import argparse

import pytest

from scripts.campaigning.options import add_options, left_of


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("", [1, 2, 3, 4]),
        ("--from 3", [3, 4]),
        ("--parts 2", [1, 2]),
        ("--from 2 --parts 2", [2, 3]),
        ("--from 4 --parts 2", [4]),
        ("--from 5", []),
    ],
)
def test_a_release_has_no_part_beyond_its_last(words: str, left: list[int]) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, "--parts", "two sizes")
    assert [*left_of(4, parser.parse_args(words.split()))] == left

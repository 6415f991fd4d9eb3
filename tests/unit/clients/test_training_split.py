"""The fixed division into training and test examples."""

from hypothesis import given
from hypothesis import strategies as st

from clients.training.split import stratified_split

FROZEN = ((0, 1, 2, 3, 6, 7), (4, 5, 8, 9))

labels = st.lists(st.integers(0, 3), max_size=60)


@given(labels, st.binary(max_size=8))
def test_the_parts_are_disjoint_ascending_and_cover_everything(some, key):
    train, test = stratified_split(some, key)
    assert sorted(train + test) == list(range(len(some)))
    assert list(train) == sorted(train)
    assert list(test) == sorted(test)


@given(labels, st.integers(1, 99))
def test_the_training_part_has_its_share_rounded_down(some, percent):
    train, _ = stratified_split(some, b"key", train_percent=percent)
    assert len(train) == percent * len(some) // 100


@given(labels)
def test_every_label_has_its_proportional_number_within_one(some):
    train, _ = stratified_split(some, b"key")
    for label in set(some):
        exact = len(train) * some.count(label) / len(some)
        assert abs(sum(some[position] == label for position in train) - exact) < 1


def test_equal_arguments_give_the_same_division_for_ever():
    assert stratified_split([0, 1] * 5, b"Cleveland") == FROZEN


def test_another_key_gives_another_division():
    assert stratified_split([0, 1] * 50, b"a") != stratified_split([0, 1] * 50, b"b")

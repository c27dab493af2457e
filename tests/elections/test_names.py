import pytest

from elections.names import normalise


@pytest.mark.parametrize(
    ("published", "other"),
    [
        ("  Выборы   главы ", "Выборы главы"),
        ("Выборы\u00a0главы", "выборы главы"),
        ("Совет «Заря»", 'Совет "Заря"'),
        ("Oкpуг Москва", "Округ Москва"),
        ("MOCКBA", "МОСКВА"),
        ("Округ\u200b №1", "Округ №1"),
    ],
)
def test_names_that_look_alike_are_equal(published, other):
    assert normalise(published) == normalise(other)


@pytest.mark.parametrize(("one", "two"), [("Округ №1", "Округ №2"), ("COCA", "СОСА")])
def test_names_that_differ_stay_different(one, two):
    assert normalise(one) != normalise(two)


def test_a_latin_name_stays_latin():
    assert normalise("Ballot  Box") == "ballot box"

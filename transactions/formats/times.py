"""Which times are believed."""

from datetime import datetime

FIRST_YEAR, YEAR_AFTER = 2000, 2100


def is_of_this_century(moment: datetime) -> bool:
    """Return whether `moment` lies in the years 2000 to 2099.

    What lies outside is a fault of the source: a figure or a list of hours that reached
    there would be no use to anybody.
    """
    return FIRST_YEAR <= moment.year < YEAR_AFTER

"""Names of what answers depend on: whoever changes something says so by them."""

from collections.abc import Iterable

# What spans elections: their list, the dashboards.
DASHBOARD = "dashboard"
# Hourly statistics without an election or a constituency.
HOURLY_STATS = "hourly-stats"
# Who may do what: users, their groups, and tokens.
ACCOUNTS = "accounts"


def election_tag(slug: str) -> str:
    """Return the tag of what is said of a whole election."""
    return f"election:{slug}"


def constituency_tag(contract_id: str) -> str:
    """Return the tag of what is said of one constituency alone."""
    return f"constituency:{contract_id}"


def is_about_constituencies(tags: Iterable[str]) -> bool:
    """Tell whether an answer with these tags is about single constituencies alone."""
    return all(tag.startswith("constituency:") for tag in tags)


def tags_of(places: Iterable[tuple[str, str]]) -> set[str]:
    """Return all that depends on constituencies, given as (election's slug, contract id)."""
    tags = set()
    for slug, contract_id in places:
        tags |= {election_tag(slug), constituency_tag(contract_id)}
    return tags | {DASHBOARD, HOURLY_STATS} if tags else tags

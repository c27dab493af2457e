"""What an observer reads of an alert: what was seen, how sure that is, and what else it can be."""

from anomalies.models import Alert
from anomalies.rules.catalogue import RULES

# By the stable codes of `Unverifiable`.
REASONS = {
    "files_missing": "hour files are missing",
    "no_hours": "no hour of the vote is over",
    "no_peers": "there are no peers to compare with",
    "not_comparable": "there are too few ballots or peers",
    "register_unknown": "nobody states the register",
    "rule_failed": "the rule failed, as the log tells",
    "time_stamps_shared": "transactions share their time stamps",
    "window_unknown": "nobody states when voting is open",
}


def why_unverifiable(reason: str, constituencies: int) -> str:
    """Return why a rule could not be applied, and in how many constituencies; 0 is all."""
    unit = "constituency" if constituencies == 1 else "constituencies"
    where = f"in {constituencies:,} {unit}" if constituencies else "everywhere"
    return f"{REASONS.get(reason, reason)}, {where}"


def title(code: str) -> str:
    """Return what a rule is called; its code where nobody knows it any more."""
    return RULES[code].title if code in RULES else code


def sentence(alert: Alert, *, voters: int | None) -> str:
    """Return the alert in words, with its numbers; it asks for a look and accuses nobody."""
    rule = RULES.get(alert.rule)
    parts = [rule.sentence if rule else f"Rule {alert.rule}."]
    if alert.excess is not None:
        parts.append(_excess(alert.excess, voters))
    if alert.q is not None:
        parts.append(_level(alert.q))
    if rule:
        parts.append(f"Plain reasons can be: {rule.innocent}.")
    return " ".join(parts)


def extent(severity: str, excess: float | None) -> str:
    """Return how grave something is: “warning, 12 ballots”."""
    if excess is None:
        return severity
    ballots = round(excess)
    unit = "ballot" if abs(ballots) == 1 else "ballots"
    return f"{severity}, {ballots:,} {unit}".replace("-", "−")


def _excess(excess: float, voters: int | None) -> str:
    kind = "more" if excess > 0 else "fewer"
    text = f"{abs(excess):,.0f} ballots {kind} than there should be"
    if voters:
        text += f", {100 * abs(excess) / voters:.1f} % of the register"
    return f"{text}."


def _level(q: float) -> str:
    if q >= 0.01:
        return f"Of such alerts 1 in {1 / q:,.0f} is expected to be chance."
    return "Of such alerts fewer than 1 in 100 are expected to be chance."

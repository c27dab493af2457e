"""Names of entries and tags in the cache."""

from hashlib import blake2b

import orjson

KEY_BYTES = 16


def metrics_key(name: str, **arguments: object) -> str:
    """Return the key of what `name` answers to `arguments`.

    Every argument that changes the answer has to be among them, and nothing else. They
    are hashed, so no input of a user stands in a key, and the order of keywords does not
    matter.

    Raises:
        TypeError: an argument has no JSON, so it has no stable text.
    """
    stated = orjson.dumps(
        arguments, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )
    return f"{name}:{blake2b(stated, digest_size=KEY_BYTES).hexdigest()}"


def tag_key(tag: str) -> str:
    """Return where the version of `tag` is kept: a path may name any, of any length."""
    digest = blake2b(tag.encode("utf-8", "backslashreplace"), digest_size=KEY_BYTES)
    return f"tag:{digest.hexdigest()}"


def flight_key(key: str) -> str:
    """Return where it is marked that somebody computes the entry `key`."""
    return f"flight:{key}"

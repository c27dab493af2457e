"""What a cache that is away raises."""

from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

CACHE_AWAY = (ConnectionInterrupted, RedisError, OSError)

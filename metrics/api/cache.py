"""The cache over HTTP: how it does, and how to end what it keeps."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from elections.api.permissions import MayOperate
from elections.api.schema import answer, question
from elections.api.strict import StrictSerializer
from metrics.api import examples
from metrics.cache import EVERYTHING, is_known_tag, metrics_cache
from metrics.services import cache_state

TAG_LENGTH, TAGS_AT_MOST = 200, 1_000


class TagAgeSerializer(serializers.Serializer[Any]):
    tag = serializers.CharField()
    age_seconds = serializers.FloatField(
        allow_null=True,
        help_text="Since it changed, or was asked for after it had not changed for "
        "minutes; null where nobody has asked for it.",
    )


class CacheStateSerializer(serializers.Serializer[Any]):
    is_usable = serializers.BooleanField(
        help_text="False while the cache does not answer, or this process could not end "
        "what it had to: answers are computed then."
    )
    hits = serializers.IntegerField(allow_null=True)
    misses = serializers.IntegerField(allow_null=True)
    hit_rate = serializers.FloatField(
        allow_null=True, help_text="Hits by hits and misses, of all processes; 0 to 1."
    )
    entries = serializers.IntegerField(
        allow_null=True, help_text="Answers that are kept, valid or not."
    )
    tags = TagAgeSerializer(
        many=True, help_text="Those that all answers, or all of an election, depend on."
    )


class InvalidationSerializer(StrictSerializer):
    """One of the two: tags, or all."""

    tags = serializers.ListField(
        child=serializers.CharField(max_length=TAG_LENGTH),
        required=False,
        min_length=1,
        max_length=TAGS_AT_MOST,
    )
    all = serializers.BooleanField(required=False)

    def validate_tags(self, tags: list[str]) -> list[str]:
        unknown = [tag for tag in tags if not is_known_tag(tag)]
        if unknown:
            message = (
                f"Nothing depends on {', '.join(unknown[:3])}. Use election:<slug>, "
                "constituency:<contract id>, dashboard or hourly-stats."
            )
            raise serializers.ValidationError(message, code="unknown_tag")
        return tags

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("tags" in attrs) == bool(attrs.get("all")):
            message = "Give either tags, or all as true."
            raise serializers.ValidationError(message, code="one_of_two")
        return attrs


class InvalidatedSerializer(serializers.Serializer[Any]):
    invalidated = serializers.ListField(child=serializers.CharField())
    is_done = serializers.BooleanField(
        help_text="False: the cache does not answer, and it is done as soon as it does. "
        "Answers about whole elections may still be as old as they may always be."
    )


class CacheView(APIView):
    """How the cache does."""

    permission_classes = [MayOperate]

    @extend_schema(
        operation_id="metrics_cache_retrieve",
        responses=CacheStateSerializer,
        examples=[answer(examples.CACHE)],
    )
    def get(self, request: Request) -> Response:
        """Return hits and misses, the number of entries, and when tags changed."""
        return Response(CacheStateSerializer(asdict(cache_state())).data)


class CacheInvalidationView(APIView):
    """Ends what is kept."""

    permission_classes = [MayOperate]

    @extend_schema(
        request=InvalidationSerializer,
        responses=InvalidatedSerializer,
        examples=[question(examples.INVALIDATION), answer(examples.INVALIDATED)],
    )
    def post(self, request: Request) -> Response:
        """End all answers that depend on these tags, or all there are."""
        wanted = InvalidationSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        tags = wanted.validated_data.get("tags", [EVERYTHING])
        cache = metrics_cache()
        cache.invalidate(tags)
        return Response({"invalidated": tags, "is_done": not cache.is_owing})

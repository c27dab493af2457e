"""Tokens by which machines use the API: only their digests are stored."""

from django.db import models
from knox.models import AbstractAuthToken


class MachineToken(AbstractAuthToken):  # type: ignore[misc]
    """Lets a machine act as its owner, until it ends or is revoked."""

    name = models.CharField(
        max_length=200, help_text="What it is for, such as: feed of Perm."
    )

    class Meta:
        verbose_name = "machine token"

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"

"""Who may feed the ledger, and see what became of it."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

FEEDING_GROUPS = ["feeder", "operator", "admin"]


class MayFeed(BasePermission):
    """Staff, and members of the groups that feed."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        # A method that the view does not have is answered with 405, not with 403.
        if not hasattr(view, str(request.method).lower()):
            return True
        user = request.user
        if not user.is_authenticated:
            return False
        return user.is_staff or user.groups.filter(name__in=FEEDING_GROUPS).exists()

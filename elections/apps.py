from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ElectionsConfig(AppConfig):
    name = "elections"

    def ready(self) -> None:
        from elections.grants import give_permissions

        post_migrate.connect(give_permissions)

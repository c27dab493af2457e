from django.apps import AppConfig


class ElectionMonitorConfig(AppConfig):
    name = "election_monitor"

    def ready(self) -> None:
        # Whoever sends a task by its name needs the app that knows the broker.
        from election_monitor import celery  # noqa: F401

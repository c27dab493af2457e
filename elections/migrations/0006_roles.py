from django.db import migrations

ROLES = ["viewer", "observer", "analyst", "operator", "feeder", "admin"]


def make_groups(apps, schema_editor):
    """Make a group per role; one that exists keeps its members."""
    group = apps.get_model("auth", "Group")
    group.objects.using(schema_editor.connection.alias).bulk_create(
        (group(name=name) for name in ROLES), ignore_conflicts=True
    )


class Migration(migrations.Migration):
    """The groups of users.

    What they may do in the admin follows after every migration, by
    `elections.grants`: that is when Django makes the permissions. Backwards the groups
    stay, for they may have members.
    """

    dependencies = [
        ("elections", "0005_history"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]

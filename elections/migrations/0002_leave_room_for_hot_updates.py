from django.db import migrations


class Migration(migrations.Migration):
    """Leave free space in each page, so that a counter is updated beside its old value.

    Such an update touches no index.
    """

    dependencies = [("elections", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE elections_constituency SET (fillfactor = 80)",
            "ALTER TABLE elections_constituency RESET (fillfactor)",
        )
    ]

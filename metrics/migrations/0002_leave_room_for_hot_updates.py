from django.db import migrations


class Migration(migrations.Migration):
    """Leave free space in each page, so that a counter is updated beside its old value.

    Such an update touches no index.
    """

    dependencies = [("metrics", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE metrics_hourlystats SET (fillfactor = 80)",
            "ALTER TABLE metrics_hourlystats RESET (fillfactor)",
        )
    ]

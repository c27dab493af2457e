"""Alerts and the settings of rules in the admin."""

from django.contrib import admin

from anomalies.admin.alerts import AlertAdmin
from anomalies.admin.settings import RuleSettingAdmin
from anomalies.models import Alert, RuleSetting

admin.site.register(Alert, AlertAdmin)
admin.site.register(RuleSetting, RuleSettingAdmin)

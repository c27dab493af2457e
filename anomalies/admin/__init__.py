"""Alerts, settings of rules and reports on polling stations in the admin."""

from django.contrib import admin

from anomalies.admin.alerts import AlertAdmin
from anomalies.admin.reports import StationReportAdmin
from anomalies.admin.settings import RuleSettingAdmin
from anomalies.models import Alert, RuleSetting, StationReport

admin.site.register(Alert, AlertAdmin)
admin.site.register(RuleSetting, RuleSettingAdmin)
admin.site.register(StationReport, StationReportAdmin)

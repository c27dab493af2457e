"""Alerts, evaluations, settings of rules, webhooks and reports on polling stations in the admin."""

from django.contrib import admin

from anomalies.admin.alerts import AlertAdmin
from anomalies.admin.evaluations import EvaluationAdmin
from anomalies.admin.reports import StationReportAdmin
from anomalies.admin.settings import RuleSettingAdmin
from anomalies.admin.webhooks import WebhookAdmin, WebhookDeliveryAdmin
from anomalies.models import (
    Alert,
    Evaluation,
    RuleSetting,
    StationReport,
    Webhook,
    WebhookDelivery,
)

admin.site.register(Alert, AlertAdmin)
admin.site.register(Evaluation, EvaluationAdmin)
admin.site.register(RuleSetting, RuleSettingAdmin)
admin.site.register(StationReport, StationReportAdmin)
admin.site.register(Webhook, WebhookAdmin)
admin.site.register(WebhookDelivery, WebhookDeliveryAdmin)

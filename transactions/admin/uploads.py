"""Files that staff hand in by the browser: stored at once, loaded by a worker."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from elections.admin import cells
from elections.models import Election
from transactions.models import ImportBatch
from transactions.services import UnusableName, receive_upload

# The form around the file.
FORM_BYTES = 1 << 20


class UploadForm(forms.Form):
    """A file under the name it was published with."""

    file = forms.FileField(
        allow_empty_file=True,
        help_text="An export file, or a zip archive of export files. The name has to be "
        "the published one: it tells contract and hour.",
    )
    election = forms.ModelChoiceField(
        Election.objects.order_by("name", "id"),
        required=False,
        empty_label="Only contracts that are registered",
        help_text="Unknown contracts are created below this election. Without one their "
        "files wait until somebody registers them.",
    )

    def clean_file(self) -> "UploadedFile[bytes]":
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > settings.UPLOAD_BYTES:
            raise forms.ValidationError(_too_large())
        return file


class UploadPage(ModelAdmin[ImportBatch]):
    """Adds the button “Upload” to the list of batches, and the page behind it."""

    change_list_template = "admin/transactions/importbatch/change_list.html"

    def has_upload_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may hand in files."""
        return bool(request.user.has_perm("transactions.add_importbatch"))

    def get_urls(self) -> list[URLPattern]:
        # Exempt, so that the form is not read before its length is known.
        page = self.admin_site.admin_view(csrf_exempt(self.upload_view))
        name = "transactions_importbatch_upload"
        return [path("upload/", page, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        can_upload = {"can_upload": self.has_upload_permission(request)}
        return super().changelist_view(request, {**can_upload, **(extra_context or {})})

    def upload_view(self, request: HttpRequest) -> HttpResponseBase:
        """Take a file, unless it is larger than what is taken."""
        if not self.has_upload_permission(request):
            raise PermissionDenied
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.UPLOAD_BYTES + FORM_BYTES:
            messages.error(request, _too_large())
            return redirect(request.path)
        return self._checked_upload(request)

    @method_decorator(csrf_protect)
    def _checked_upload(self, request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST":
            return self._page(request, UploadForm())
        form = UploadForm(request.POST, request.FILES)
        if (batch := self._receive(request, form)) is None:
            return self._page(request, form)
        self.log_addition(request, batch, "Uploaded.")
        messages.success(
            request,
            f"{batch.name} is stored as batch {batch.pk} and will be loaded soon.",
        )
        return redirect(cells.change_url(batch))

    def _receive(self, request: HttpRequest, form: UploadForm) -> ImportBatch | None:
        """Queue the file; where that fails, the form says why."""
        if not form.is_valid():
            return None
        file: UploadedFile[bytes] = form.cleaned_data["file"]
        try:
            return receive_upload(
                file,
                name=file.name or "",
                election=form.cleaned_data["election"],
                uploaded_by=request.user,
                now=timezone.now(),
            )
        except UnusableName as error:
            form.add_error("file", str(error))
            return None

    def _page(self, request: HttpRequest, form: UploadForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Upload export files",
            "opts": self.opts,
            "form": form,
            "media": self.media,
        }
        return TemplateResponse(
            request, "admin/transactions/importbatch/upload.html", context
        )


def _too_large() -> str:
    return f"The file is larger than {settings.UPLOAD_BYTES:,} bytes."

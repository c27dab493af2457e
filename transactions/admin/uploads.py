"""Files that staff hand in by the browser: stored at once, loaded by a worker."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from elections.admin import cells
from elections.admin.uploads import FileForm, UploadPage
from elections.models import Election
from transactions.models import ImportBatch
from transactions.services import UnusableName, receive_upload


class ExportForm(FileForm):
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

    @classmethod
    def largest_bytes(cls) -> int:
        return settings.UPLOAD_BYTES


class ExportUploadPage(UploadPage[ImportBatch]):
    """Takes export files and queues them."""

    upload_form = ExportForm
    upload_title = "Upload export files"

    def receive(self, request: HttpRequest, form: ExportForm) -> HttpResponse | None:
        """Queue the file."""
        if (batch := _queued(request, form)) is None:
            return None
        self.log_addition(request, batch, "Uploaded.")
        messages.success(
            request,
            f"{batch.name} is stored as batch {batch.pk} and will be loaded soon.",
        )
        return redirect(cells.change_url(batch))


def _queued(request: HttpRequest, form: ExportForm) -> ImportBatch | None:
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

"""What pages share where staff hand in a file by the browser."""

from abc import abstractmethod
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from elections.admin.base import M

# The form around the file.
FORM_BYTES = 1 << 20
MEGABYTE = 1 << 20


class FileForm(forms.Form):
    """A form whose field `file` has a largest size."""

    @classmethod
    @abstractmethod
    def largest_bytes(cls) -> int:
        """Return the bytes that the file may have."""

    @classmethod
    def too_large(cls) -> str:
        """Return what a file is answered that is larger."""
        whole, rest = divmod(cls.largest_bytes(), MEGABYTE)
        size = f"{cls.largest_bytes():,} bytes" if rest else f"{whole:,} MB"
        return f"The file is larger than {size}."

    def clean_file(self) -> "UploadedFile[bytes]":
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if (file.size or 0) > self.largest_bytes():
            raise forms.ValidationError(self.too_large())
        return file


class UploadPage(ModelAdmin[M]):
    """Adds the button “Upload” to a list, and the page behind it.

    Who has the permission to add rows may hand in files, though nobody adds rows by hand.
    """

    change_list_template = "admin/upload_list.html"
    upload_form: ClassVar[type[FileForm]]
    upload_title: ClassVar[str]

    @abstractmethod
    def receive(self, request: HttpRequest, form: Any) -> HttpResponse | None:
        """Take what a valid form holds, and lead on; None where the form says why not."""

    def has_upload_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may hand in files."""
        add = f"{self.opts.app_label}.add_{self.opts.model_name}"
        return bool(request.user.has_perm(add))

    def get_urls(self) -> list[URLPattern]:
        # Exempt, so that the form is not read before its length is known.
        page = self.admin_site.admin_view(csrf_exempt(self.upload_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_upload"
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
        largest = self.upload_form.largest_bytes() + FORM_BYTES
        if length.isdecimal() and int(length) > largest:
            messages.error(request, self.upload_form.too_large())
            return redirect(request.path)
        return self._checked_upload(request)

    @method_decorator(csrf_protect)
    def _checked_upload(self, request: HttpRequest) -> HttpResponseBase:
        if request.method != "POST":
            return self._page(request, self.upload_form())
        form = self.upload_form(request.POST, request.FILES)
        done = self.receive(request, form) if form.is_valid() else None
        return done or self._page(request, form)

    def _page(self, request: HttpRequest, form: FileForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": self.upload_title,
            "opts": self.opts,
            "form": form,
            "media": self.media,
        }
        return TemplateResponse(request, "admin/upload.html", context)

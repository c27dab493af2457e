import pytest

from tests.factories import make_staff

PAGES = [
    "/admin/transactions/rejectedrow/?code=%00",
    "/admin/transactions/importbatch/?election=%00",
    "/admin/transactions/feedhour/?constituency=%00",
]


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_a_nul_in_the_query_of_a_page_is_refused(client, page):
    client.force_login(make_staff())

    assert client.get(page).status_code == 400


def test_the_api_viewer_answers_no_options(client):
    assert client.options("/api/v1/docs/").status_code == 405

"""What a person reads when the server no longer keeps the result on their screen."""

from ldsr.web.files import GONE
from tests.browser.steps import wait_result, wait_status


def test_a_picture_that_has_expired_says_so(open_stand_in):
    page = open_stand_in(expected="404")
    wait_result(page)
    page.route("**/ldsr/r/*/*-false.png", lambda route: route.fulfill(status=404, body=GONE))
    page.locator("input[name=ldsr-colours][value=false]").check(force=True)
    wait_status(page, "no longer kept on the server; run it again")
    assert page.get_attribute("#status .status", "data-state") == "error"

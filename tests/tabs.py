"""A tab for test after test: its process has the scripts of a page compiled, which takes longer
than all that a page does afterwards."""

import re
from contextlib import suppress

from playwright.sync_api import BrowserContext, Dialog, Error, Page, expect

SCREEN = {"width": 1280, "height": 720}
_idle: list[Page] = []


def tab(browser: BrowserContext) -> Page:
    """The tab that another test has left, or a new one."""
    if _idle:
        page = _idle.pop()
        page.set_viewport_size(SCREEN)  # the other test may have made it small
        return page
    page = browser.new_page()
    page.on("dialog", _answer)
    return page


def _answer(dialog: Dialog) -> None:
    """A test may leave labels that are not saved yet: the page asks before it goes."""
    if dialog.type == "beforeunload":
        dialog.accept()
    else:
        dialog.dismiss()


def leave(page: Page) -> None:
    """Keep a tab for the next test. Nothing is on it until then: a page on a training that does not
    end would be drawn for all of the tests that follow, and a cookie would name who labelled."""
    page.context.clear_cookies()
    if _idle:
        page.close()
        return
    try:
        page.goto("about:blank")
    except Error:  # it hangs: another one will do
        page.close()
    else:
        _idle.append(page)


def settled(page: Page) -> None:
    """Wait until the page is drawn to its end: before, what is on it may be drawn anew, and what
    was done to it lost."""
    page.locator("[data-test-script-state=notRunning]").wait_for(timeout=60_000)


def more(page: Page) -> None:
    """Open what the form for a new experiment has besides its three questions."""
    heading = page.get_by_role("paragraph").filter(has_text=re.compile(r"^More$"))
    inside = page.get_by_role("combobox", name="Weights to start from")
    for _ in range(5):
        settled(page)
        # While the form is drawn anew, what it was before may stand beside it.
        expect(heading).to_have_count(1)
        heading.click()
        with suppress(AssertionError):  # a job that ends meanwhile has the form drawn anew
            expect(inside).to_be_visible(timeout=5_000)
            return
    expect(inside).to_be_visible()


def choose(page: Page, field: str, value: str) -> None:
    """Choose from a list, or add to it where it takes what it has not; again where a run that ended
    meanwhile has closed it."""
    named = [page.get_by_role("option", name=n, exact=True) for n in (value, f"Add: {value}")]
    box = page.get_by_role("combobox", name=field, exact=True)
    around = page.get_by_test_id(re.compile("^st(Select|MultiSelect)")).filter(has=box)
    for _ in range(5):
        settled(page)
        box.click()  # first, for its list closes as the page scrolls to it
        box.fill("")  # or Streamlit takes what was added to the value alone
        box.fill(value)
        with suppress(Error):
            named[0].or_(named[1]).first.click(timeout=5_000)
            page.keyboard.press("Escape")  # a list from which several are chosen stays open
            settled(page)
            if box.input_value() == value or around.get_by_text(value, exact=True).count() > 0:
                return
    raise AssertionError(f"{value} could not be chosen as {field}")

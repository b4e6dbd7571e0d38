"""A tab for test after test: its process has the scripts of a page compiled, which takes longer
than all that a page does afterwards."""

from playwright.sync_api import BrowserContext, Page

_idle: list[Page] = []


def tab(browser: BrowserContext) -> Page:
    """The tab that another test has left, or a new one."""
    return _idle.pop() if _idle else browser.new_page()


def leave(page: Page) -> None:
    """Keep a tab for the next test; the page on it stays until then."""
    if _idle:
        page.close()
    else:
        _idle.append(page)

"""A real browser without a window: Chromium, driven by Selenium."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

CHROMIUM = "/usr/bin/chromium"
CHROMEDRIVER = "/usr/bin/chromedriver"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
"""Options for a headless browser that loads nothing but the page."""

TEXTS = "return [...document.querySelectorAll(arguments[0])].map((element) => element.innerText)"


class Page:
    """Access to a page for tests. Methods block: call them in a thread."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Load an address."""
        self._driver.get(url)

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self._driver.find_element(By.CSS_SELECTOR, selector).text)

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all selected elements, in document order, all of one moment."""
        found = self._driver.execute_script(TEXTS, selector)
        assert isinstance(found, list)
        return [str(text) for text in found]

    def submit(self, selector: str, text: str) -> None:
        """Type into a field and press Enter."""
        self._driver.find_element(By.CSS_SELECTOR, selector).send_keys(f"{text}\n")

    def console_errors(self) -> list[str]:
        """Return the errors on the browser's console."""
        log = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [str(entry["message"]) for entry in log if entry["level"] == "SEVERE"]

    def screenshot(self, path: str) -> None:
        """Write a screenshot as a PNG file."""
        self._driver.save_screenshot(path)


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """Run a browser with an empty profile while the body runs."""
    with tempfile.TemporaryDirectory(prefix="browser-") as profile:
        options = ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = Chrome(options=options, service=ChromeService(CHROMEDRIVER))
        try:
            yield Page(driver)
        finally:
            driver.quit()

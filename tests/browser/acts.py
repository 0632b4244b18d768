"""What people do on the page, as functions."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

_FILES = """(files) => {
    const transfer = new DataTransfer();
    for (const [name, type, text] of files) {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
    }
    return transfer;
}"""


def choose(page: Page, *paths: Path) -> None:
    """Through the button and the browser's file chooser."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose pictures").click()
    chooser.value.set_files(list(paths))


def _files(paths: tuple[Path, ...]) -> list[list[str]]:
    return [[path.name, "image/jpeg", base64.b64encode(path.read_bytes()).decode()] for path in paths]


def drop(page: Page, *paths: Path) -> None:
    """Drags over the page, sees that it offers to take the files, and lets go."""
    transfer = page.evaluate_handle(_FILES, _files(paths))
    page.dispatch_event("footer.foot", "dragenter", {"dataTransfer": transfer})
    page.dispatch_event("footer.foot", "dragover", {"dataTransfer": transfer})
    expect(page.get_by_text("Let go to add the pictures")).to_be_visible()
    page.dispatch_event("footer.foot", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("Let go to add the pictures")).to_be_hidden()


def paste(page: Page, path: Path) -> None:
    """From the clipboard, where pictures have no name of their own."""
    [[_, media_type, text]] = _files((path,))
    transfer = page.evaluate_handle(_FILES, [["image.png", media_type, text]])
    page.evaluate(
        """(transfer) => document.body.dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }))""",
        transfer,
    )


def row(page: Page, name: str) -> Locator:
    """A picture's line in the list."""
    return page.locator("#list .row", has=page.locator(".row-name", has_text=re.compile(f"^{re.escape(name)}$")))


def detail(page: Page) -> Locator:
    """The pane that shows one picture in full."""
    return page.locator("#detail")

"""Takes the pictures of the page that the documentation shows, from a running product.

`python -m tests.browser.screenshots http://127.0.0.1:5001 docs/images PHOTO...`; the last photo is shown in full.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright
from tests.browser.conftest import ARGUMENTS, CHROMIUM, PHONE

LOOKS: dict[str, dict[str, Any]] = {
    "page": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "page-dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "page-phone": {**PHONE, "color_scheme": "light"},
}
MOST_BYTES = 300_000


def main() -> None:
    """Writes one JPEG for each look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", help="address of the page")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("photos", type=Path, nargs="+", help="photos to add; the last one is shown in full")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for number, (name, options) in enumerate(LOOKS.items()):
            page = browser.new_context(**options).new_page()
            page.goto(arguments.page)
            photos = arguments.photos if number == 0 else arguments.photos[-1:]
            for photo in photos:  # one by one: the page shows what was added last
                page.locator("#choose-input").set_input_files(photo)
                page.locator("#detail .chip[data-level=good]").wait_for(timeout=60_000)
                page.locator("#detail h2", has_text=photo.name).wait_for()
            page.locator("#detail .times").wait_for(timeout=60_000)
            path = arguments.out / f"{name}.jpg"
            for quality in range(90, 20, -10):
                if len(page.screenshot(path=path, type="jpeg", quality=quality)) < MOST_BYTES:
                    break
            print(f"{path}: {path.stat().st_size} bytes")
        browser.close()


if __name__ == "__main__":
    main()

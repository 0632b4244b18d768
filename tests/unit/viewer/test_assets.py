"""The files of the page: nothing from elsewhere, nothing missing, no markup made from text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import drag_viewer

PACKAGE = Path(drag_viewer.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".html", ".css", ".js", ".svg"))
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
NAMESPACES = {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_address_of_another_host(path: Path) -> None:
    found = set(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z0-9./-]+", path.read_text()))
    assert found <= NAMESPACES


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_text_never_becomes_markup_or_code(path: Path) -> None:
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|javascript:"
    assert not re.search(banned, path.read_text())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_import_is_there(path: Path) -> None:
    for name, source in re.findall(r"import \{([^}]*)\} from \"([^\"]+)\"", path.read_text()):
        exported = (path.parent / source).read_text()
        for one in name.split(","):
            wanted = one.split(" as ")[0].strip()
            assert re.search(rf"export (?:async )?(?:const|let|function|class) {wanted}\b", exported), wanted


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".html"], ids=lambda path: path.name)
def test_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)


def test_files_stay_small() -> None:
    assert {path.name for path in FILES if len(path.read_text().splitlines()) > 400} == set()

"""A hook of mkdocs: pages link to files of the project outside of docs/, as forges show them; the site has these files as pages.

README.md is its first page. Any other file or directory that a page links to is below project/, whole; what is not there is a
warning, which `--strict` makes an error.
"""

import logging
import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
log = logging.getLogger("mkdocs.hooks.links")

# A fenced block, in which nothing is a link, or a link's target.
PIECE = re.compile(r"^(?P<fence>```+).*?^(?P=fence)|(?<=\]\()(?P<target>[^)\s#]+)(?=[)#])", re.M | re.S)

# Where each file of the project is in the site, and from which file each page of the site was made.
uris = {}
origins = {}


def targets(text, origin):
    """The files that a page links to, but for other hosts'."""
    for found in PIECE.finditer(text):
        target = found["target"]
        if target and "://" not in target:
            yield (origin.parent / target).resolve()


def page(path):
    """What the site shows of a file or directory."""
    name = path.relative_to(ROOT)
    if path.suffix == ".md":
        return path.read_text()
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    parts = [f"# {name}\n"]
    for file in files:
        if len(files) > 1:
            parts.append(f"## {file.relative_to(path)}\n")
        parts.append(f"````text\n{file.read_text()}\n````\n")
    return "\n".join(parts)


def on_files(files, config):
    open_pages = []

    def add(path):
        if path == ROOT / "README.md":
            uri = "index.md"
        else:
            uri = f"project/{path.relative_to(ROOT)}".removesuffix(".md") + ".md"
        text = page(path)
        uris[path] = uri
        origins[uri] = path
        files.append(File.generated(config, uri, content=text))
        open_pages.append((text, path))

    for file in files.documentation_pages():
        path = DOCS / file.src_uri
        uris[path] = file.src_uri
        origins[file.src_uri] = path
        open_pages.append((path.read_text(), path))
    add(ROOT / "README.md")
    while open_pages:
        text, origin = open_pages.pop()
        for target in targets(text, origin):
            if target in uris or target.is_relative_to(DOCS):
                continue
            if target.exists() and target.is_relative_to(ROOT):
                add(target)
            else:
                log.warning("%s: there is no %s", origin.relative_to(ROOT), os.path.relpath(target, ROOT))
    return files


def on_page_markdown(markdown, page, config, files):
    uri = page.file.src_uri
    origin = origins[uri]

    def place(found):
        target = found["target"]
        if not target or "://" in target:
            return found[0]
        path = (origin.parent / target).resolve()
        there = uris.get(path) or os.path.relpath(path, DOCS)
        return os.path.relpath(there, os.path.dirname(uri) or ".")

    return PIECE.sub(place, markdown)

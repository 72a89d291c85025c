"""A hook of mkdocs for pages that are written as forges show them.

They link to files outside of docs/, so the site has these as pages: README.md is its first one, any other file or directory is below
project/, whole. A link to what does not exist is a warning, which `--strict` makes an error.

What belongs to an item of a list begins below the item's text; Python's Markdown wants four columns.
"""

import logging
import os
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
log = logging.getLogger("mkdocs.hooks.forge")

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


ITEM = re.compile(r"(?:\d+\.|[-*]) +")


def indented(lines):
    """The lines with four columns before what belongs to an item."""
    done = []
    fence = None
    while lines:
        line = lines.pop(0)
        mark = re.match(r"```+", line)
        if mark and fence in (None, mark[0]):
            fence = None if fence else mark[0]
        item = ITEM.match(line)
        if fence or not item:
            done.append(line)
            continue
        width = len(item[0])
        own = [line[width:]]
        while lines and (not lines[0].strip() or lines[0].startswith(" " * width)):
            own.append(lines.pop(0)[width:])
        first, *rest = indented(own)
        done.append(item[0].rstrip().ljust(4) + first)
        done += [" " * 4 + line if line else line for line in rest]
    return done


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
            # mkdocs leaves out what begins with a dot.
            names = [name.lstrip(".") for name in path.relative_to(ROOT).parts]
            uri = "/".join(["project", *names]).removesuffix(".md") + ".md"
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

    return "\n".join(indented(PIECE.sub(place, markdown).split("\n")))

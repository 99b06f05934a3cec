"""The pages of the site, in the folder that the builder reads: those of docs/, the README first, and the reference.

The pages of docs/ stay plain Markdown that a repository shows. What differs on the site is changed on the way:
addresses of files become links between pages, formulas become MathML, and each public name gets its page.
"""

import json
import os
import posixpath
import re
import shutil
import sys
import tomllib
from pathlib import Path

import public_objects
from latex2mathml.converter import convert
from public_objects import ROOT, SOURCE

ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
VERSION = re.search(r'^__version__ = "(.+)"', (SOURCE / "parascan" / "__init__.py").read_text(), re.M)
OUTSIDE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Pages outside of docs/, and their names on the site."""
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
CODE = re.compile(r"^(`{3,}).*?^\1$|`[^`\n]+`", re.S | re.M)
DISPLAYED, INLINE = re.compile(r"\$\$(.+?)\$\$", re.S), re.compile(r"(?<![\w$\\])\$([^$\n]+?)\$(?![\w$])")
SECTIONS = re.compile(r"^- \*\*(?P<title>[^*]+)\*\*(?P<links>.*?)(?=^- \*\*|^$)", re.S | re.M)
REFERENCE = "reference"


def outside_of_code(text: str, change) -> str:
    """The text with what is not code changed."""
    parts, last = [], 0
    for match in CODE.finditer(text):
        parts += [change(text[last : match.start()]), match.group()]
        last = match.end()
    return "".join([*parts, change(text[last:])])


def with_formulas(text: str) -> str:
    """LaTeX between dollars as MathML, which browsers show without a script."""
    text = DISPLAYED.sub(lambda found: convert(found[1], display="block"), text)
    # A line of Markdown that begins with a tag it does not know is a block of its own; a span is none.
    return INLINE.sub(lambda found: f"<span>{convert(found[1])}</span>", text)


def site_path(path: str) -> str | None:
    """Where a file of the repository is on the site; None where it is not."""
    if path in OUTSIDE:
        return OUTSIDE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") and not path.startswith("docs/site/") else None


def relinked(text: str, source: str) -> str:
    """A page's text with links that hold on the site.

    Args:
        text: of the page.
        source: path of the page in the repository.
    """
    here = posixpath.dirname(site_path(source) or "")

    def new(target: str) -> str:
        file, mark, anchor = target.partition("#")
        own = re.fullmatch(rf"{re.escape(ADDRESS)}/(?:blob|tree|raw)/main/(.+)", file)
        if not file or (file.startswith("https://") and not own):
            return target
        path = own[1] if own else posixpath.normpath(posixpath.join(posixpath.dirname(source), file))
        aim = site_path(path)
        if aim is None or not (ROOT / path).is_file():
            return f"{ADDRESS}/blob/main/{path}{mark}{anchor}"
        return posixpath.relpath(aim, here or ".") + mark + anchor

    return outside_of_code(text, lambda prose: LINK.sub(lambda found: found[1] + new(found[2]) + found[3], prose))


def write(folder: Path, path: str, text: str) -> None:
    """A page of the site."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")


def pages() -> list[str]:
    """Paths of the written pages in the repository, in a fixed order."""
    nested = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    return [*OUTSIDE, *nested]


def titled(text: str) -> str:
    """The title of a page."""
    found = re.search(r"^# (.+)$", text, re.M)
    if not found:
        raise SystemExit(f"A page without a title: {text[:60]!r}.")
    return found[1].replace("`", "")


def described(found: public_objects.Found, title: str, level: int) -> str:
    """What makes the builder describe a name, under a heading with its signature."""
    options = f"      heading: {title}\n      heading_level: {level}\n      toc_label: {title}\n"
    return f"::: {found.path}\n    options:\n{options}"


def reference(folder: Path) -> list[dict]:
    """Write a page for each public name and each namespace; their part of the navigation."""
    names, spaces, listed = [], [], []
    for each in public_objects.top():
        path = f"{REFERENCE}/{each.name}.md"
        # Two names that differ in the case of letters would be one file on some systems.
        if any(path.lower() == known.lower() for entry in names for known in entry.values()):
            raise SystemExit(f"{each.name}: another page has this name in other letters.")
        write(folder, path, described(each, f"ps.{each.name}", level=1))
        names.append({f"ps.{each.name}": path})
        listed.append(f"- [ps.{each.name}]({each.name}.md): {public_objects.summary(each)}\n")
    for module, title in public_objects.NAMESPACES.items():
        path = f"{REFERENCE}/{module}.md"
        blocks = [described(each, each.name, level=2) for each in public_objects.members(module)]
        write(folder, path, "\n".join([f"# {title}\n", *blocks]))
        spaces.append({title: path})
        listed.append(f"- [{title}]({module}.md)\n")
    text = "# Reference\n\nEvery public name, after `import parascan as ps`, and modules with names of their own.\n\n"
    write(folder, f"{REFERENCE}/index.md", text + "".join(listed))
    return [{"All names": f"{REFERENCE}/index.md"}, {"Names of ps": names}, {"Namespaces": spaces}]


def navigation(titles: dict[str, str], names: list[dict]) -> list[dict]:
    """The site's tree: sections as docs/tour.md lists its pages, then the reference."""
    tour = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    _, _, listed = tour.partition("\n## Pages\n")
    listed = listed.partition("\n## ")[0] + "\n"
    tree: list[dict] = [{"Home": "index.md"}, {titles["tour.md"]: "tour.md"}]
    for found in SECTIONS.finditer(listed):
        paths = [link[1].partition("#")[0] for link in LINK.findall(found["links"])]
        tree.append({found["title"]: [{titles[path]: path} for path in dict.fromkeys(paths)]})
    tree.append({"Reference": names})
    own = [{titles[path]: path} for path in ("changelog.md", "contributing.md")]
    tree.append({"Project": [*own, {"Source code": ADDRESS}]})
    return tree


def configuration(folder: Path, tree: list[dict]) -> dict:
    """What the builder is told."""
    version = VERSION[1] if VERSION else ""
    return {
        "site_name": f"parascan {version}",
        "site_description": "Evaluate recurrences in parallel over their length, and foretell when that pays",
        # No `repo_url`: the theme would have each reader's browser ask there for numbers of stars.
        # The builder takes relative paths only.
        "docs_dir": folder.name,
        "site_dir": "html",
        "use_directory_urls": False,
        "nav": tree,
        "extra_css": ["style.css"],
        "theme": {
            "font": False,
            "features": [
                "content.code.copy",
                "navigation.footer",
                "navigation.indexes",
                "navigation.top",
                "search.highlight",
            ],
            "palette": [
                {"scheme": "default", "toggle": {"icon": "lucide/sun", "name": "Switch to dark mode"}},
                {"scheme": "slate", "toggle": {"icon": "lucide/moon", "name": "Switch to light mode"}},
            ],
        },
        "markdown_extensions": [
            "admonition",
            "attr_list",
            "md_in_html",
            {"toc": {"permalink": True}},
            {"pymdownx.highlight": {"pygments_lang_class": True}},
            "pymdownx.superfences",
        ],
        "plugins": [
            "search",
            {
                "mkdocstrings": {
                    "handlers": {
                        "python": {
                            "paths": [os.fspath(SOURCE)],
                            "options": {
                                "docstring_style": "google",
                                "docstring_options": {"returns_multiple_items": False, "returns_named_value": False},
                                "docstring_section_style": "table",
                                "extensions": [os.fspath(ROOT / "docs" / "site" / "module_constructors.py")],
                                "filters": ["!^_"],
                                "inherited_members": False,
                                "line_length": 100,
                                "members_order": "source",
                                "merge_init_into_class": True,
                                "separate_signature": True,
                                "show_root_heading": True,
                                "show_bases": False,
                                "show_source": True,
                                "show_signature_annotations": True,
                                "signature_crossrefs": True,
                            },
                        }
                    }
                }
            },
        ],
        "validation": {"links": {"not_found": "warn", "anchors": "warn"}},
    }


def main(folder: Path) -> None:
    """Write all pages below ``folder``, and the builder's settings beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    titles = {}
    for source in pages():
        text = (ROOT / source).read_text(encoding="utf-8")
        aim = site_path(source) or source
        titles[aim] = titled(text)
        write(folder, aim, outside_of_code(relinked(text, source), with_formulas))
    for pictures in ("pictures", "paper"):
        shutil.copytree(ROOT / "docs" / pictures, folder / pictures)
    shutil.copy(ROOT / "docs" / "site" / "style.css", folder / "style.css")
    settings = configuration(folder, navigation(titles, reference(folder)))
    # JSON is YAML.
    (folder.parent / "mkdocs.yml").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    sys.stdout.write(f"{len(titles)} pages and {len(public_objects.top())} names in {folder}\n")


if __name__ == "__main__":
    main(ROOT / "build" / "site" / "pages")

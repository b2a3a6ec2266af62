"""What the site does that no extension does.

Docstrings keep their columns, animations are shown, links lead into the repository, and MathJax
comes from a copy.
"""

import importlib
import importlib.util
import re
from pathlib import Path

from sphinx.util.fileutil import copy_asset


def setup(app):
    """What Sphinx calls."""
    app.connect("source-read", rewrite_links)
    app.connect("source-read", number_tutorial)
    app.connect("autodoc-process-docstring", keep_columns, priority=400)  # before napoleon
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("missing-reference", by_defining_module)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


# ----------------------------------------------------------------------------------------------
# links Pages that are also read where the repository is hosted link to its files; here, to what the
# site makes of them.

LINKS = [
    (re.compile(r"\]\((?:\.\./)+tutorials/(\w+)\.py\)"), r"](/tutorials/\1.rst)"),
    (
        re.compile(r"\]\((?:\.\./)+minidann/([\w/]+)\.py\)"),
        lambda found: f"](#minidann.{found[1].replace('/', '.')})",
    ),
]


TUTORIAL = re.compile(r"tutorials/(\d\d)_")
TITLE = re.compile(r"^(.+)\n(=+)$", re.MULTILINE)


def rewrite_links(app, docname, source):
    """Links to tutorials and modules as links to their pages."""
    for pattern, replacement in LINKS:
        source[0] = pattern.sub(replacement, source[0])


def number_tutorial(app, docname, source):
    """Tutorials call each other by number: it stands in the title, and so in the list of pages."""
    tutorial = TUTORIAL.match(docname)
    if tutorial:
        number = f"{int(tutorial[1])}. "
        source[0] = TITLE.sub(
            lambda found: f"{number}{found[1]}\n{found[2]}{'=' * len(number)}", source[0], count=1
        )


def by_defining_module(app, env, node, contnode):
    """Find a name where it is defined: ``minidann.data.Digits`` in ``minidann.data.mnist``."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    module, _, name = target.rpartition(".")
    module = module or node.get("py:module") or "minidann"
    try:
        found = getattr(importlib.import_module(module), name)
        home = f"{found.__module__}.{found.__qualname__}"
    except (ImportError, AttributeError):
        return None
    if home == target:
        return None
    return env.domains["py"].resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], home, node, contnode
    )


# ----------------------------------------------------------------------------------------------
# formulas By MathJax, from a copy in the site. The package that brings it would copy all of it, 30
# MB; these parts are what a page can ask for.

MATHJAX = ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts")


def copy_mathjax(app, exception):
    """MathJax into the static files of the site."""
    if exception or app.builder.format != "html":
        return
    package = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent
    for part in MATHJAX:
        source, target = (
            package / "static/mathjax" / part,
            Path(app.outdir) / "_static/mathjax" / part,
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_asset(source, target if source.is_dir() else target.parent)


# ----------------------------------------------------------------------------------------------
# docstrings


def skip_fields(app, what, name, obj, skip, options):
    """Leave out the fields of a named tuple, of which Python says "Alias for field number 0".

    The docstring of the tuple says more.
    """
    return (
        True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None
    )


LITERAL = re.compile(r"(``.+?``)")
UNDERLINE = re.compile(r"-{3,}$")  # of a heading of numpydoc


def keep_columns(app, what, name, obj, options, lines):
    """Show indented lines above the headings of numpydoc with their columns.

    They are formulas or commands that are set by hand.
    """
    headings = (i - 1 for i, line in enumerate(lines) if UNDERLINE.match(line))
    end = next(headings, len(lines))
    shown, before, literal = [], "", False
    for line in lines[:end]:
        indented = line.startswith("    ")
        if indented and not literal and not before:
            shown += [".. code-block:: text", ""]
            literal = True
        elif line and not indented:
            literal = False
        shown.append(line.replace("``", "") if literal else prose(line))
        before = line.strip()
    lines[:] = shown + [prose(line) for line in lines[end:]]


def prose(line):
    """A line of prose without reST's markup.

    In it ``|x|`` is an absolute value and ``*others`` the rest of the arguments.
    """
    parts = LITERAL.split(line)
    return "".join(
        part if part.startswith("``") else re.sub(r"\||(?<=, )\*(?=\w)", r"\\\g<0>", part)
        for part in parts
    )


# ----------------------------------------------------------------------------------------------
# tutorials

saved = set()


def figures(block, block_vars, gallery_conf):
    """Figures and, as GIF files, animations.

    sphinx-gallery's own player would fetch its icons from another site.
    """
    import matplotlib.pyplot as plt
    from matplotlib.animation import Animation
    from sphinx_gallery.scrapers import figure_rst, matplotlib_scraper

    paths = []
    for animation in block_vars["example_globals"].values():
        if isinstance(animation, Animation) and id(animation) not in saved:
            saved.add(id(animation))
            path = Path(next(block_vars["image_path_iterator"])).with_suffix(".gif")
            animation.save(path, writer="pillow", dpi=80)
            plt.close(animation._fig)
            paths.append(str(path))
    return figure_rst(paths, gallery_conf["src_dir"]) + matplotlib_scraper(
        block, block_vars, gallery_conf
    )

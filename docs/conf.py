"""The site. One command, in an environment with ``pip install -e ".[docs]"``:

    sphinx-build -W --keep-going docs build/site

builds everything and runs the tutorials (minutes); with ``-D plot_gallery=0`` the tutorials are
shown without their output (seconds).

Nothing here asks the network, and nothing in the built pages does: open build/site/index.html from
a disk.
"""

import sys
from pathlib import Path

import minidann

sys.path.insert(0, str(Path(__file__).parent))  # for site_extension

project = "minidann"
author = "the minidann authors"
version = release = minidann.__version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
extensions += ["sphinx_gallery.gen_gallery", "site_extension"]
exclude_patterns = [
    "tutorials/*.py",
    "tutorials/*.ipynb",
]  # sphinx-gallery writes them beside its pages
nitpick_ignore = [("py:class", "scipy.sparse.csr_matrix")]
nitpicky = True  # a reference to what is not there is a warning, and -W makes it an error

# how it looks
html_theme = "furo"
html_title = "minidann"
html_static_path = ["_static"]
html_css_files = ["minidann.css"]
html_copy_source = False
html_show_copyright = False
mathjax_path = "mathjax/tex-chtml.js"  # site_extension puts it there
mathjax3_config = {"options": {"enableMenu": False}}
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8f", "color-brand-content": "#005a8f"},
    "dark_css_variables": {"color-brand-primary": "#6cb8e6", "color-brand-content": "#6cb8e6"},
}

# Markdown
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# the API
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings say more: shapes
napoleon_google_docstring = False
napoleon_use_param = False  # types are prose here, "array (N, D)", not names to be linked
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
viewcode_line_numbers = True

# the tutorials
sphinx_gallery_conf = {
    "examples_dirs": "../tutorials",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("site_extension.figures",),
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "show_memory": False,
    "default_thumb_file": str(
        Path(__file__).parent / "_static/minus-lambda.png"
    ),  # of a tutorial without figures
    "download_all_examples": False,
    "min_reported_time": 1e9,  # a page's seconds depend on who else uses the machine
    "write_computation_times": False,
    "reset_modules": ("matplotlib",),
}

"""Configuration of Sphinx. It generates the reference pages before Sphinx reads the sources."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate_reference import write_reference

from prodrec import __version__

project = "prodrec"
author = "the prodrec maintainers"
copyright = f"2026, {author}"  # noqa: A001 - the name that Sphinx reads
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist", "attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]

html_theme = "furo"
html_title = "prodrec"
html_theme_options = {"sidebar_hide_name": False}
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autoclass_content = "class"
maximum_signature_line_length = 80
default_role = "code"  # docstrings use single backticks, as Markdown does

write_reference(Path(__file__).parent / "reference")

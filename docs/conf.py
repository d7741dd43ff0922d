# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""How Sphinx builds these pages: `make docs`."""

from pathlib import Path
import xml.etree.ElementTree as ElementTree

_PACKAGE = ElementTree.parse(Path(__file__).resolve().parents[1] / 'package.xml').getroot()

project = 'wm_controller'
author = copyright = 'wm_controller maintainers'
version = release = _PACKAGE.findtext('version', '')
extensions = ['myst_parser']
myst_heading_anchors = 4
html_theme = 'furo'
html_title = f'wm_controller {release}'
exclude_patterns = ['_build']
# Pages are read on GitHub too: links to files of the repository are links to nothing here.
suppress_warnings = ['myst.xref_missing']

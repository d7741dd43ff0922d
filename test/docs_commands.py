# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The commands that README and docs tell people to type."""

from pathlib import Path
import re

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
MADE = {'commands.md'}  # whose blocks are no commands
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)
SHELL = {'bash', 'sh', 'console'}
STARTS = re.compile(r'(sudo |[A-Z_]+=\S+ )*(\.venv/bin/)?'
                    r'(make|wm|ros2|git|pip|colcon|rosdep|cd|torchrun|python3?) ')


def commands_of(path):
    """Yield each command of a page's shell blocks, one line each, without comments."""
    if path.name in MADE:
        return
    for kind, block in BLOCK.findall(path.read_text()):
        lines = block.replace('\\\n', ' ').splitlines()
        if kind in SHELL or (not kind and lines and STARTS.match(lines[0])):
            for line in lines:
                line = re.sub(r'(^|\s)#.*', '', line)
                for command in re.split(r'\s*(?:&&|\|\||;)\s*', line):
                    if command.strip():
                        yield command.strip()

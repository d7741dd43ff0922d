# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The tables in README and docs that are made from the code: `make readme` writes them."""

from pathlib import Path

from wm_controller.safety import guardrails, modes

ROOT = Path(__file__).resolve().parents[1]
MADE = {'guardrails': guardrails.as_markdown, 'modes': modes.as_markdown}


def with_tables(text):
    """Put the tables of today between their marks."""
    for name, make in MADE.items():
        begin, end = f'wm_controller.safety.{name}.as_markdown -->\n', f'<!-- end of {name} -->'
        if begin in text:
            before, rest = text.split(begin)
            text = before + begin + make() + end + rest.split(end)[1]
    return text


if __name__ == '__main__':
    for path in (ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')):
        text = path.read_text()
        if with_tables(text) != text:
            path.write_text(with_tables(text))
            print(f'{path}: written')

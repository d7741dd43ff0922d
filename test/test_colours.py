# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reports can be read by people who see fewer colours, and in black and white."""

from itertools import combinations
from pathlib import Path
import re

import pytest

from colour_vision import distance, lab, seen, VISIONS
from wm_controller.evaluation import field_figures, palette
from wm_controller.evaluation.field_tally import MODES

PACKAGE = Path(palette.__file__).parents[1]
SAID_IN_COLOUR = ('DRIVEN', 'IMAGINED', 'GOAL', 'BUMP', 'PURPLE', 'SKY', 'YELLOW')
JUST_NOTICEABLE = 2.3  # CIE 1976
LEAST = 15.0  # between two colours that say something: the nearest pair has 16.1


def test_the_simulation_of_colour_vision_is_right():
    """Greys stay grey, and red and green become one hue for those without red or green cones."""
    for vision in VISIONS:
        assert seen((128, 128, 128), vision) == pytest.approx(128, abs=1.0)
    for vision in ('protanopia', 'deuteranopia'):
        red, green = lab(seen((200, 60, 60), vision)), lab(seen((90, 130, 40), vision))
        assert red[2] > 0 and green[2] > 0 and abs(red[1] - green[1]) < 20
    assert distance((200, 60, 60), (90, 130, 40), 'usual') > 80
    assert distance((0, 0, 0), (255, 255, 255), 'usual') == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize('vision', VISIONS)
def test_colours_that_say_something_are_told_apart(vision):
    colours = {name: palette.rgb(getattr(palette, name)) for name in SAID_IN_COLOUR}
    apart = {pair: distance(colours[pair[0]], colours[pair[1]], vision)
             for pair in combinations(colours, 2)}
    near = min(apart, key=apart.get)
    assert apart[near] > LEAST > 6 * JUST_NOTICEABLE, (vision, near, apart[near])
    for name, colour in colours.items():
        assert distance(colour, palette.rgb(palette.PAPER), vision) > LEAST, name


def test_curves_and_modes_differ_in_more_than_colour():
    assert len({str(each) for each in palette.LINES}) == len(palette.ROWS) == len(palette.LINES)
    for marks in (field_figures.MODE_LINES, field_figures.MODE_HATCHES):
        assert set(marks) == {*MODES, ''}
        assert len({str(each) for each in marks.values()}) == len(marks)
    assert len(set(field_figures.MARKERS.values())) == len(field_figures.MARKERS)


def test_every_figure_takes_its_colours_from_the_palette():
    """No figure brings a colour of its own: greys of the page excepted."""
    known = {value.lower() for name, value in vars(palette).items()
             if name.isupper() and isinstance(value, str) and value.startswith('#')}
    foreign = {}
    for path in [*(PACKAGE / 'evaluation').glob('*.py'), *(PACKAGE / 'training').glob('*.py')]:
        for colour in re.findall(r"'(#[0-9a-fA-F]{6})'", path.read_text()):
            red, green, blue = palette.rgb(colour)
            grey = max(red, green, blue) - min(red, green, blue) < 20
            if colour.lower() not in known and not grey:
                foreign.setdefault(path.name, []).append(colour)
    assert not foreign

# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pages: made from the code where they can be, no dead links, and every command exists."""

import ast
import importlib.util
from pathlib import Path
import re
import shlex

import pytest

from docs_commands import commands_of, PAGES

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'\]\(([^)\s]+)\)')


def reference():
    spec = importlib.util.spec_from_file_location('reference', ROOT / 'docs' / 'reference.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('page', ['parameters.md', 'commands.md'])
def test_the_reference_is_the_code(page):
    if page == 'parameters.md':
        pytest.importorskip('rclpy')
    assert (ROOT / 'docs' / page).read_text() == reference().PAGES[page](), 'run: make readme'


def anchors(path):
    """What can be linked to: headings as GitHub and myst name them, and explicit targets."""
    text = path.read_text()
    heads = re.findall(r'^#+ (.*)$', text, re.MULTILINE)
    slugs = {re.sub(r'[^\w\- ]', '', head.lower()).strip().replace(' ', '-') for head in heads}
    return slugs | set(re.findall(r'^\(([\w-]+)\)=$', text, re.MULTILINE))


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in LINK.findall(re.sub(r'```.*?```', '', path.read_text(), flags=re.DOTALL)):
        if re.match(r'[a-z]+:', target):
            continue
        name, _, anchor = target.partition('#')
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f'{path.name}: {target}'
        assert not anchor or anchor in anchors(there), f'{path.name}: {target}'


def test_every_page_is_in_the_contents():
    listed = (ROOT / 'docs' / 'index.md').read_text()
    for page in (ROOT / 'docs').glob('*.md'):
        assert page.stem == 'index' or re.search(rf'^{page.stem}$', listed, re.MULTILINE), page


def words(path):
    return [pytest.param(path, line, id=f'{path.name}: {line[:70]}') for line in commands_of(path)]


@pytest.mark.parametrize('path, line', [each for path in PAGES for each in words(path)])
def test_a_command_is_one_that_there_is(path, line):
    """Parsed by what would run it; `make commands` runs those of `wm`."""
    parts = shlex.split(line)
    while parts and re.fullmatch(r'[A-Z_]+=\S*', parts[0]):  # environment
        parts.pop(0)
    if not parts:
        return
    check = CHECKS.get(Path(parts[0]).name)
    assert check is not None, f'{path.name}: nobody knows {parts[0]}: {line}'
    check(parts[1:])


def _make(arguments):
    targets = [each for each in arguments if not each.startswith('-') and '=' not in each]
    text = (ROOT / 'Makefile').read_text()
    for target in targets:
        assert re.search(rf'^{re.escape(target)}:', text, re.MULTILINE), target
    for name in (each.split('=')[0] for each in arguments if '=' in each):
        assert re.search(rf'^{name} \?=|\$\({name}\)|\$\${{{name}', text, re.MULTILINE), name


def _wm(arguments):
    import typer

    from wm_controller.cli.main import build_app, verbs
    command, path = typer.main.get_command(build_app(verbs())), 'wm'
    context = command.context_class(command, info_name=path)
    while getattr(command, 'commands', None):
        name = next((each for each in arguments if not each.startswith('-')), None)
        if name is None:
            return
        assert name in command.commands, f'{path} {name}'
        command, arguments = command.commands[name], arguments[arguments.index(name) + 1:]
        path = f'{path} {name}'
    if '...' not in arguments:
        command.make_context(path, list(arguments), parent=context)


def _python(arguments):
    if arguments[:2] == ['-m', 'wm_controller.cli.main']:
        return _wm(arguments[2:])
    if arguments[:1] == ['-m']:
        assert importlib.util.find_spec(arguments[1]), arguments
        return None
    assert (ROOT / arguments[0]).exists(), arguments
    return None


def _torchrun(arguments):
    _python(arguments[arguments.index('-m'):])


def _pytest(arguments):
    for each in arguments:
        assert not each.startswith('test/') or (ROOT / each.split('::')[0]).exists(), each


def _node(arguments, executable=''):
    names = [each.split(':=')[0] for flag, each in zip(arguments, arguments[1:]) if flag == '-p']
    module = importlib.import_module(f'wm_controller.nodes.{executable.removesuffix("_node")}')
    source = Path(module.__file__).parent.glob(f'{executable.removesuffix("_node")}*.py')
    text = ''.join(path.read_text() for path in source)
    for name in names:
        assert name == 'use_sim_time' or f"Spec('{name}'" in text, name


def _ros2(arguments):
    kind, *rest = arguments
    if kind == 'launch':
        _launch(rest)
    elif kind == 'run' and rest[0] == 'wm_controller':
        _node(rest[2:], rest[1])
    elif kind == 'topic':
        plain = [each for each in rest[1:] if not each.startswith('-') and not each.isdigit()]
        assert _named(plain[0].lstrip('/')), plain
        if rest[0] == 'pub':
            assert plain[1].split('/')[-1] in _named(plain[0].lstrip('/')), plain
    elif kind == 'service':
        assert rest[2].split('/')[-1] in _named(rest[1].lstrip('/')), rest
    else:
        assert kind in ('run', 'param', 'pkg', 'security', 'lifecycle', 'action', 'bag'), kind


def _launch(arguments):
    package, name, *given = arguments
    if package != 'wm_controller':
        return
    path = ROOT / 'launch' / name
    source = path.read_text() + ''.join(
        each.read_text() for each in (ROOT / 'launch').glob('*.py')) + ''.join(
        each.read_text() for each in (ROOT / 'wm_controller' / 'nodes').glob('launch*.py'))
    constants = {node.value for node in ast.walk(ast.parse(source.replace(
        'from __future__ import annotations', ''))) if isinstance(node, ast.Constant)}
    for each in given:
        if each != '...':
            assert each.split(':=')[0] in constants, f'{name} has no argument {each}'


def _named(name):
    """The line of topics.md about a topic or service; it is one table of all."""
    text = (ROOT / 'docs' / 'topics.md').read_text()
    return next((line for line in text.splitlines()
                 if line.startswith('|') and f'`{name}`' in line.split('|')[1]), '')


def _elsewhere(arguments):
    """Of the system, or of ROS: not ours to check."""


CHECKS = {
    'make': _make, 'wm': _wm, 'ros2': _ros2, 'python': _python, 'python3': _python,
    'torchrun': _torchrun, 'pytest': _pytest,
    **{f'{node}_node': (lambda arguments, node=node: _node(arguments, f'{node}_node'))
       for node in ('controller', 'guardrail', 'panel', 'joystick', 'recorder', 'simulator')},
    **dict.fromkeys(('cd', 'git', 'mkdir', 'cp', 'rosdep', 'pip', 'colcon', 'source', 'sudo',
                     'export', 'for', 'do', 'done', 'sysctl', 'true', 'pre-commit', 'rviz2',
                     'rerun'),
                    _elsewhere),
}

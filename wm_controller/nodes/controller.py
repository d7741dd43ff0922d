# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
The controller as a lifecycle node: images, odometry and goals in, `cmd_vel_auto` out.

It is thin: `drive_loop.py` decides what is sent and when, `planning/pilot.py` what to do. Every
command carries the stamp of the image that it was planned from, so the guardrail knows how old
the view is that the robot drives by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Odometry
import numpy as np
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import Trigger

from wm_controller.errors import InputError
from wm_controller.nodes import qos, runtime
from wm_controller.nodes.bond import Bond
from wm_controller.nodes.camera_watch import CameraWatch
from wm_controller.nodes.controller_parameters import ControllerSettings, PARAMETERS
from wm_controller.nodes.controller_status import Snapshot
from wm_controller.nodes.conversions import (
    measured_at,
    MessageError,
    read_goal,
    read_odometry,
    seconds,
    to_pose,
)
from wm_controller.nodes.drive_loop import DriveLoop, Driver, FUTURE_S
from wm_controller.nodes.frames import GoalFrames
from wm_controller.nodes.images import read_compressed, read_image
from wm_controller.nodes.lifecycle import ManagedNode
from wm_controller.nodes.navigate_to_pose import NavigateToPoseServer
from wm_controller.nodes.odometry_buffer import OdometryBuffer
from wm_controller.nodes.places_service import forget, remember, route
from wm_controller.nodes.plan_outlet import PlanOutlet
from wm_controller.nodes.report import Complaints, to_diagnostics
from wm_controller.planning.contract import ExploreGoal, Goal, ImageGoal, PoseGoal, RouteGoal

MONITOR_PERIOD_S = 0.1
CLOCK_GRACE_S = 2.0
BLIND_S = 1.0  # a pause this long is a fault; the robot is stopped long before
STATUS_EVERY, DIAGNOSTICS_EVERY = 5, 10  # monitor periods
MakeDriver = Callable[[ControllerSettings], tuple[Driver, str, float]]


class ControllerNode(ManagedNode):
    """
    Drives to goals by camera and odometry.

    `make_driver` builds what drives from the settings: the pilot by default, a double in tests.
    It returns the driver, the name of its model, and the time between imagined poses, s.
    """

    def __init__(self, make_driver: MakeDriver, **options: Any) -> None:
        super().__init__('controller', **options)
        given = runtime.declare(self, PARAMETERS)
        self._make_driver = make_driver
        self._loop: DriveLoop | None = None
        self._goal = 'none'
        self._model = self._runtime = ''
        self._advice = ''
        self._stale, self._held = '', False
        self._ticks = 0
        self._status_key: tuple[str, ...] = ()
        self._complaints = Complaints(self.get_logger().warning)
        self._advise = Complaints(self.get_logger().warning)
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump)
        # statuses go out in every state; commands through lifecycle publishers, when active
        self._status = self.create_publisher(DiagnosticStatus, 'controller/status', qos.STATUS)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._outlet = PlanOutlet(self, self._now, self._complaints)
        self.create_service(Trigger, '~/cancel', self._on_cancel)
        self.create_service(Trigger, '~/explore', self._on_explore)
        for name, backwards in (('~/repeat', False), ('~/retrace', True)):
            self.create_service(Trigger, name, functools.partial(self._on_repeat, backwards))
        self.create_service(Trigger, '~/remember', functools.partial(self._on_places, remember))
        self.create_service(Trigger, '~/forget', functools.partial(self._on_places, forget))
        self._action = NavigateToPoseServer(self, self._on_goal_pose, self._give_up, self._refusal)
        self._bond = Bond(self, given['bond_heartbeat_period'])
        self.create_timer(MONITOR_PERIOD_S, self._monitor,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        if given['autostart']:
            self.bring_up()

    # Lifecycle

    def configure(self) -> None:
        """Load the model and let it plan once, so that the first real plan is as quick."""
        settings = ControllerSettings.of(runtime.values(self, PARAMETERS))
        self._settings = settings
        self._driver, self._model, self._outlet.step_s = self._make_driver(settings)
        self._runtime = getattr(self._driver, 'runtime', '')
        warning = getattr(self._driver, 'runtime_warning', '')
        if warning:
            self.get_logger().warning(warning)
        self._outlet.odom_frame = settings.odom_frame
        self._outlet.base_frame = settings.base_frame
        self._outlet.imagination.begin(getattr(self._driver, 'film', None), settings.base_frame)
        self._outlet.memory.begin(lambda: self._driver, settings.odom_frame)
        self._odometry = OdometryBuffer()
        self._frames = GoalFrames(self, settings.odom_frame)
        compressed = settings.image_transport == 'compressed'
        names = [self.resolve_topic_name(topic) for topic in ('image', 'image/compressed')]
        self._image_topic, self._other_topic = names[::-1] if compressed else names
        self._watch = CameraWatch(
            self._image_topic, self._other_topic, 'raw' if compressed else 'compressed')
        self._decode = functools.partial(
            read_compressed if compressed else read_image, what=self._image_topic)
        self._listen(CompressedImage if compressed else Image)

    def _listen(self, image_type: type) -> None:
        guarded = self._complaints.guarded
        self._subscriptions_made = [
            self.create_subscription(image_type, self._image_topic,
                                     guarded('image', self._on_image), qos.IMAGE),
            self.create_subscription(
                TwistStamped if self._settings.enable_stamped_cmd_vel else Twist, 'cmd_vel',
                guarded('cmd_vel', self._on_admitted), qos.SENSOR),
            self.create_subscription(Odometry, 'odom', guarded('odom', self._on_odometry),
                                     qos.SENSOR),
            self.create_subscription(PoseStamped, 'goal_pose',
                                     guarded('goal_pose', self._on_goal_pose), qos.COMMAND),
            self.create_subscription(Image, 'goal_image',
                                     guarded('goal_image', self._on_goal_image), qos.COMMAND)]

    def activate(self) -> None:
        """Start the control loop."""
        self._stale, self._held, self._activated_s = '', False, time.monotonic()
        self._loop = DriveLoop(self._driver, self._odometry, self._settings.loop, self._now,
                               self._decode, self._outlet, self._outlet.imagination.saw)
        self._tick_timer = self.create_timer(self._settings.loop.period_s, self._loop.on_tick)
        self._bond.form()
        self.get_logger().info(
            f'active: model {self._model}, run by {self._runtime}, '
            f'{self._settings.loop.rate_hz:g} Hz, images from {self._image_topic}')

    def deactivate(self) -> None:
        """End the control loop; the stop is the last thing that goes out."""
        if self._loop is not None:
            self.destroy_timer(self._tick_timer)
            self._loop.stop()
            self._loop = None
            self._aim('none', 'the controller was deactivated')
            self._driver.reset()
            self._report()
            self._bond.break_()

    def cleanup(self) -> None:
        """Let go of the model and the topics."""
        self.deactivate()
        for subscription in getattr(self, '_subscriptions_made', []):
            self.destroy_subscription(subscription)
        self._subscriptions_made = []
        self._outlet.imagination.end()
        self._model = self._runtime = ''

    # Inputs; all in the executor's thread

    def _on_image(self, message: Any) -> None:
        self._watch.heard(time.monotonic())
        if self._loop is None or self._now() <= 0.0:  # no /clock yet
            return
        self._loop.on_image(measured_at(message.header, self._image_topic), message)

    def _on_odometry(self, message: Odometry) -> None:
        reading = read_odometry(message, self._settings.odom_frame, self._settings.base_frame)
        ahead_s = reading.stamp - self._now()
        if ahead_s > FUTURE_S:  # it would shut out all that comes after it
            raise MessageError(f'odom: its stamp is {ahead_s:.3g} s in the future')
        if not self._odometry.add(reading):
            raise MessageError(f'odom: stamp {reading.stamp:.3f} is not newer than the last one')

    def _on_admitted(self, message: TwistStamped | Twist) -> None:
        if self._loop is None:
            return
        if isinstance(message, TwistStamped):
            stamp, twist = seconds(message.header.stamp, 'cmd_vel'), message.twist
            if stamp > self._now() + FUTURE_S:  # nothing would be in force until then
                raise MessageError(f'cmd_vel: its stamp is {stamp - self._now():.3g} s ahead')
        else:
            stamp, twist = self._now(), message
        self._loop.on_admitted(stamp, twist.linear.x, twist.angular.z)

    def _on_goal_pose(self, message: PoseStamped) -> None:
        goal = self._frames.to_odom(read_goal(message))
        yaw = goal.yaw if self._settings.goal_heading else None
        if self._odometry.newest is None:
            self._advise('odom', f"no odometry has come on {self.resolve_topic_name('odom')} yet: "
                         'the goal is counted from where the model believes the robot to be')
        self._drive_to(PoseGoal(goal.x, goal.y, yaw), f'pose {goal.x:.2f} {goal.y:.2f}')

    def _on_goal_image(self, message: Image) -> None:
        image = np.array(read_image(message, 'goal_image'))
        if not getattr(self._driver, 'takes_pictures', True):
            raise MessageError(f'goal_image: {self._model} cannot tell where a picture was taken; '
                               'add that with `wm train DATA --goal-pictures-of`')
        self._drive_to(ImageGoal(image), f'image {image.shape[1]}x{image.shape[0]}')

    def _drive_to(self, goal: Goal, name: str) -> None:
        if self._loop is None:
            raise MessageError(f'{self._refusal()}: goal {name} is not taken')
        self._aim(name, f'goal {name}')
        self.get_logger().info(f'goal: {name}')
        self._loop.set_goal(goal)

    def _refusal(self) -> str:
        return f'the controller is {self.state_label}' if self._loop is None else ''

    def _aim(self, name: str, because: str) -> None:
        """Name what it drives to from now on, and end the action that drove elsewhere."""
        self._goal = name
        self._action.overtaken(because)

    def _give_up(self, because: str) -> None:
        self._aim('none', because)
        if self._loop is not None:
            self._loop.set_goal(None)

    def _on_cancel(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        response.message = f'cancelled goal: {self._goal}'
        self._give_up('cancelled by ~/cancel')
        return response

    def _on_explore(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if not getattr(self._driver, 'explores', False):
                raise MessageError(f'{self._model or "the controller"} cannot explore: it has no '
                                   'sense of where there is room')
            self._drive_to(ExploreGoal(), 'explore')
            response.success, response.message = True, 'exploring, until nothing is left'
        except MessageError as error:
            response.success, response.message = False, str(error)
        return response

    def _on_places(self, order: Callable[[Any, str], str], _: Trigger.Request,
                   response: Trigger.Response) -> Trigger.Response:
        try:
            if self._loop is None:
                raise InputError(f'the controller is {self.state_label}')
            path = self._settings.map_file
            response.message = self._loop.ask(lambda driver: order(driver, path))
            response.success = True
        except (InputError, TimeoutError) as error:
            response.success = False
            response.message = str(error) or 'no answer in time: ask again'
        self.get_logger().info(response.message)
        return response

    def _on_repeat(self, backwards: bool, request: Trigger.Request, response: Trigger.Response
                   ) -> Trigger.Response:
        response = self._on_places(route, request, response)
        if response.success:
            name = 'route, backwards' if backwards else 'route'
            self._drive_to(RouteGoal(backwards), name)
        return response

    def _on_clock_jump(self, jump: TimeJump) -> None:
        if jump.delta.nanoseconds >= 0 or self._loop is None:
            return
        self.get_logger().warning(
            f'time went back by {-jump.delta.nanoseconds * 1e-9:.3g} s: goal and memory are reset')
        self._aim('none', 'time went back')
        self._loop.reset()

    # Status

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds * 1e-9)

    def _monitor(self) -> None:
        try:
            self._ticks += 1
            if self._loop is not None:
                self._watch_camera(self._loop)
                self._follow_action(self._loop)
            if self._ticks % STATUS_EVERY == 0 or self._snapshot().key != self._status_key:
                self._report()
            if self._ticks % DIAGNOSTICS_EVERY == 0:
                self._diagnose()
        except Exception as error:
            self._complaints('monitor', f'monitor: {type(error).__name__}: {error}')

    def _watch_camera(self, loop: DriveLoop) -> None:
        self._advice = self._watch.advice(
            time.monotonic(), self.count_publishers(self._image_topic),
            self.count_publishers(self._other_topic))
        if self._now() <= 0.0 and time.monotonic() - self._activated_s > CLOCK_GRACE_S:
            self._advice = 'waiting for /clock, as use_sim_time is set'
        if self._advice:
            self._advise('camera', self._advice)
        stamp = loop.image_stamp
        age_s = 0.0 if stamp is None else self._now() - stamp
        held = age_s > self._settings.loop.max_age_s
        if held and not self._held:
            self.get_logger().warning(f'no fresh image on {self._image_topic}: stopping')
            loop.hold()
        elif self._held and not held:
            self.get_logger().info(f'images come again on {self._image_topic}')
        self._held = held
        self._stale = ''
        blind_s = 0.0 if loop.seen_stamp is None else self._now() - loop.seen_stamp
        if blind_s > BLIND_S:
            why = f' ({loop.blind_because})' if loop.blind_because else ''
            self._stale = (f'no {"usable " * bool(why)}image on {self._image_topic} for '
                           f'{blind_s:.0f} s: standing still{why}')

    def _follow_action(self, loop: DriveLoop) -> None:
        reading = self._odometry.newest
        pose, speed = (np.zeros(3), 0.0) if reading is None else (reading.pose, reading.twist[0])
        self._action.follow(self._snapshot().state, loop.condition.goal_distance,
                            to_pose(self._now(), pose, self._settings.odom_frame), speed)

    def _snapshot(self) -> Snapshot:
        loop = self._loop
        return Snapshot(
            self.state_label, self.refusal, self._goal, self._model, self._advice, self._stale,
            None if loop is None else loop.condition,
            0 if loop is None else loop.counts['deadline_misses'])

    def _report(self) -> None:
        snapshot = self._snapshot()
        self._status_key = snapshot.key
        self._status.publish(snapshot.status('controller'))

    def _diagnose(self) -> None:
        more: dict[str, Any] = {'lifecycle': self.state_label, 'runtime': self._runtime}
        if self._loop is not None:
            more.update(self._loop.figures())
        for topic, count in self._complaints.counts.items():
            more[f'dropped_{topic}'] = count
        if self._complaints.last:
            more['last_complaint'] = self._complaints.last
        self._diagnostics.publish(to_diagnostics(
            self._now(), self._snapshot().status(f'{self.get_fully_qualified_name()}: driving',
                                                 more)))


def main(args: Sequence[str] | None = None) -> None:
    """Run the controller until it is told to end."""
    from wm_controller.nodes.pilot_factory import make_pilot
    runtime.run(lambda: ControllerNode(make_pilot), args)


if __name__ == '__main__':
    main()

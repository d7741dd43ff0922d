# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""
A drive inside the model, step by step, beside the truth where it is known.

In a simulated room the same commands are driven for real; a recording knows what came as long as
its own actions are taken. The floor is the last frame seen, shown for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
import time
from typing import Any

import cv2
import numpy as np

from wm_controller.evaluation import palette
from wm_controller.evaluation.learned_start import camera_frame, Start
from wm_controller.evaluation.learned_world import LearnedWorld
from wm_controller.evaluation.pictures import psnr_of
from wm_controller.safety.geometry import relative
from wm_controller.world_model.bundle import Bundle

SCALE = 4   # of the model's pictures on the screen and in the video
HEAD, FOOT, GAP = 26, 44, 8  # px
FONT = cv2.FONT_HERSHEY_SIMPLEX
SAME_ACTION = 1e-6
STEPS = (1, 4, 8)


@dataclass(frozen=True)
class Step:
    """One model step: the command (v m/s, w rad/s), what was imagined, what came (or None).

    Pictures are (H, W, 3) uint8 RGB, poses (3,) in the frame of the start.
    """

    v: float
    w: float
    imagined: np.ndarray
    pose: np.ndarray
    came: np.ndarray | None
    true_pose: np.ndarray | None


class ImaginedDrive:
    """Takes commands, one a model step, and keeps what came of them."""

    def __init__(self, bundle: Bundle, start: Start) -> None:
        """Raise InputError where the bundle has no decoder."""
        self.world = LearnedWorld(bundle, start.state, start.frame)
        self.start, self.bundle = start, bundle
        self.period_s = bundle.spec.step_period_s
        self.steps: list[Step] = []
        self.step_s: list[float] = []
        self._on_record = start.recorded is not None
        if start.simulator is not None:
            self._origin = start.simulator.pose

    def step(self, v: float, w: float) -> Step:
        """Imagine one model step under a command, and let the truth take it too."""
        began = time.perf_counter()
        self.world.command(v, w)
        self.world.step(self.period_s)
        picture, pose = self.world.image(), self.world.pose
        self.step_s.append(time.perf_counter() - began)
        came, true_pose = self._truth(v, w)
        self.steps.append(Step(v, w, picture, pose, came, true_pose))
        return self.steps[-1]

    def _truth(self, v: float, w: float) -> tuple[np.ndarray | None, np.ndarray | None]:
        simulator, recorded, index = self.start.simulator, self.start.recorded, len(self.steps)
        if simulator is not None:
            simulator.command(v, w)
            simulator.step(self.period_s)
            return camera_frame(self.bundle, simulator), relative(self._origin, simulator.pose)
        if recorded is None or index >= len(recorded.actions):
            return None, None
        self._on_record = self._on_record and bool(
            np.abs(recorded.actions[index] - (v, w)).max() < SAME_ACTION)
        if not self._on_record:
            return None, None
        return recorded.frames[index], recorded.poses[index]

    def picture(self) -> np.ndarray:
        """What people see: imagined, what came, last seen frame; (H, W, 3) RGB, even sides."""
        step = self.steps[-1] if self.steps else None
        height, width = self.start.frame.shape[:2]
        panels = [('imagined', self.start.frame if step is None else step.imagined),
                  ('what came', self.start.frame if step is None else step.came),
                  ('last frame seen', self.start.frame)]
        size = (width * SCALE, height * SCALE)
        canvas = np.full((size[1] + HEAD + FOOT, 3 * size[0] + 2 * GAP, 3),
                         palette.rgb(palette.INK), np.uint8)
        for index, (title, image) in enumerate(panels):
            left = index * (size[0] + GAP)
            _write(canvas, title if image is not None else f'{title}: not known', left + 6, 18)
            if image is not None:
                canvas[HEAD:HEAD + size[1], left:left + size[0]] = cv2.resize(
                    image, size, interpolation=cv2.INTER_CUBIC)
        _write(canvas, self._line(step), 6, canvas.shape[0] - 16)
        return canvas[:canvas.shape[0] // 2 * 2, :canvas.shape[1] // 2 * 2]

    def _line(self, step: Step | None) -> str:
        if step is None:
            return self.start.name
        x, y, _ = step.pose
        line = (f'{len(self.steps) * self.period_s:5.1f} s   {step.v:+.2f} m/s {step.w:+.2f} rad/s'
                f'   imagined at {x:+.2f} {y:+.2f} m')
        if step.came is not None:
            line += (f'   PSNR {psnr_of(step.imagined, step.came):.1f} dB, last frame '
                     f'{psnr_of(self.start.frame, step.came):.1f} dB')
        return line

    def result(self) -> dict[str, Any]:
        """Figures of the drive; `truth` is None where nothing is known of what came."""
        known = [step for step in self.steps if step.came is not None]
        pose = self.world.pose
        return {
            'start': self.start.name, 'steps': len(self.steps),
            'seconds': round(len(self.steps) * self.period_s, 3),
            'pose': [round(float(value), 4) for value in pose],
            'step_ms': round(1e3 * float(np.median(self.step_s)), 2) if self.step_s else None,
            'truth': self._against(known) if known else None,
        }

    def _against(self, known: list[Step]) -> dict[str, Any]:
        """Imagined beside what came, with the floors: last frame, and standing still."""
        came = np.stack([step.came for step in known if step.came is not None])
        imagined = np.stack([step.imagined for step in known])
        frozen = np.broadcast_to(self.start.frame, came.shape)
        pictures = {'imagined': imagined, 'last_frame': frozen}
        result: dict[str, Any] = {'steps': len(known)}
        for name, images in pictures.items():
            result[f'psnr_db_{name}'] = psnr_of(images, came)
            result[f'psnr_db_{name}_at'] = {
                str(k): psnr_of(images[k - 1], came[k - 1]) for k in STEPS if k <= len(known)}
            result[f'l1_{name}'] = round(float(np.abs(
                images.astype(np.int16) - came).mean()), 2)
        result['nearer_than_last_frame'] = bool(
            result['psnr_db_imagined'] > result['psnr_db_last_frame'])
        true_pose = known[-1].true_pose
        if true_pose is not None and np.isfinite(true_pose).all():
            error = known[-1].pose - true_pose
            result['position_error_m'] = round(float(np.hypot(*error[:2])), 4)
            result['position_error_of_standing_m'] = round(float(np.hypot(*true_pose[:2])), 4)
        return result


def _write(canvas: np.ndarray, text: str, left: int, base: int) -> None:
    cv2.putText(canvas, text, (left, base), FONT, 0.5, palette.rgb(palette.PAPER), 1, cv2.LINE_AA)

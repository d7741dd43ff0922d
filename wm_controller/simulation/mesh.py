# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Triangles of a room's surfaces, gathered by material so that each material is drawn once."""

import numpy as np

from wm_controller.simulation.description import Panel
from wm_controller.simulation.shapes import Solid

ROUND_SIDES = 14


class Surface:
    """A triangle mesh in the making: vertices, normals, texture coordinates and faces."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._normals: list[np.ndarray] = []
        self._texcoords: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._count = 0

    def add(self, vertices, normals, texcoords, faces) -> None:
        """Add vertices (V, 3) m, normals (V, 3), texture coordinates (V, 2), faces (F, 3)."""
        self._vertices.append(np.asarray(vertices, float))
        self._normals.append(np.broadcast_to(normals, (len(vertices), 3)))
        self._texcoords.append(np.asarray(texcoords, float))
        self._faces.append(np.asarray(faces) + self._count)
        self._count += len(vertices)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Vertices (V, 3), normals (V, 3), texture coordinates (V, 2) and faces (F, 3)."""
        return (np.concatenate(self._vertices), np.concatenate(self._normals),
                np.concatenate(self._texcoords), np.concatenate(self._faces))

    def add_quad(self, corner, along, up, scale: float | None, step: float = 10.0) -> None:
        """
        Add a rectangle from a corner (3,) along two edges (3,), seen from along x up.

        The texture repeats every `scale` metres, or covers it once with None. It is cut up at
        `step` metres, because light is computed at vertices.
        """
        corner, along, up = (np.asarray(v, float) for v in (corner, along, up))
        width, height = np.linalg.norm(along), np.linalg.norm(up)
        nu, nv = int(np.ceil(width / step)), int(np.ceil(height / step))
        u, v = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, nv + 1))
        u, v = u.ravel()[:, None], v.ravel()[:, None]
        stretch = (1.0, 1.0) if scale is None else (width / scale, height / scale)
        row, column = (a.ravel() for a in np.mgrid[0:nv, 0:nu])
        a = row * (nu + 1) + column
        b, c, d = a + 1, a + nu + 2, a + nu + 1
        normal = np.cross(along, up)
        self.add(corner + u * along + v * up, normal / np.linalg.norm(normal),
                 np.hstack([u * stretch[0], v * stretch[1]]),
                 np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))

    def add_box(self, solid: Solid, scale: float, step: float, *, top: bool, bottom: bool) -> None:
        """Add the sides of a box, and its top and bottom where they can be seen."""
        c, s = np.cos(solid.yaw), np.sin(solid.yaw)
        x, y, z = np.array([c, s, 0.0]), np.array([-s, c, 0.0]), np.array([0.0, 0.0, 1.0])
        middle = np.array([solid.x, solid.y, solid.z])
        ex, ey, ez = solid.hx * x, solid.hy * y, solid.hz * z
        for normal, along, up, wanted in (
            (ex, ey, ez, True), (-ex, -ey, ez, True), (ey, -ex, ez, True), (-ey, ex, ez, True),
            (ez, ex, ey, top), (-ez, ey, ex, bottom),
        ):
            if wanted:
                self.add_quad(middle + normal - along - up, 2 * along, 2 * up, scale, step)

    def add_cylinder(self, solid: Solid, scale: float) -> None:
        """Add the side and both ends of an upright cylinder."""
        angle = np.linspace(0, 2 * np.pi, ROUND_SIDES + 1)
        out = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)
        ring = out * solid.hx + (solid.x, solid.y, 0.0)
        low, high = ring + (0, 0, solid.bottom), ring + (0, 0, solid.top)
        u = angle * solid.hx / scale
        n = ROUND_SIDES + 1
        i = np.arange(ROUND_SIDES)
        self.add(
            np.concatenate([low, high]), np.concatenate([out, out]),
            np.concatenate([np.stack([u, np.zeros(n)], 1),
                            np.stack([u, np.full(n, 2 * solid.hz / scale)], 1)]),
            np.concatenate([
                np.stack([i, i + 1, n + i + 1], 1), np.stack([i, n + i + 1, n + i], 1),
            ]),
        )
        for edge, z, order in ((high, 1.0, (0, 1, 2)), (low, -1.0, (0, 2, 1))):
            middle = edge[:1] * 0 + (solid.x, solid.y, edge[0, 2])
            points = np.concatenate([middle, edge])
            fan = np.stack([np.zeros_like(i), i + 1, i + 2], axis=1)[:, list(order)]
            self.add(points, (0.0, 0.0, z), points[:, :2] / scale, fan)

    def add_panel(self, panel: Panel) -> None:
        """Add a picture: its texture once over its face."""
        c, s = np.cos(panel.yaw), np.sin(panel.yaw)
        along = np.array([-s, c, 0.0]) * panel.half_width
        up = np.array([0.0, 0.0, panel.half_height])
        self.add_quad(np.array([panel.x, panel.y, panel.z]) - along - up, 2 * along, 2 * up, None)

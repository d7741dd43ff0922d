# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""Colours as people see them who lack a kind of cone, and how far apart they look then.

Matrices of Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB; distances are
CIE 1976 in L*a*b* (D65), where 2.3 is just noticeable.
"""

import numpy as np

VISIONS = {
    'usual': np.eye(3),
    'protanopia': np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    'deuteranopia': np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    'tritanopia': np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                   [0.0193339, 0.1191920, 0.9503041]])


def seen(rgb, vision):
    """Return sRGB (..., 3) 0..255 as somebody of this vision sees it."""
    srgb = np.asarray(rgb, float) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ VISIONS[vision].T, 0.0, 1.0)
    return 255.0 * np.where(linear <= 0.0031308, 12.92 * linear,
                            1.055 * linear ** (1 / 2.4) - 0.055)


def lab(rgb):
    """Return sRGB (..., 3) 0..255 as L*a*b*."""
    srgb = np.asarray(rgb, float) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ TO_XYZ.T / TO_XYZ.sum(1)
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]),
                     200 * (f[..., 1] - f[..., 2])], -1)


def distance(one, other, vision):
    """How far apart two colours look."""
    return float(np.linalg.norm(lab(seen(one, vision)) - lab(seen(other, vision))))

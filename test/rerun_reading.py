# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
"""A log for the Rerun viewer, read back from its file."""

from collections import defaultdict

import numpy as np


def read_log(path, timeline):
    """Return {entity: (times s (N,), [value of each row])} of a log, and what is there always."""
    from rerun.chunk import RrdReader

    rows, static = defaultdict(list), set()
    for chunk in RrdReader(str(path)).stream():
        name = str(chunk.entity_path)
        if chunk.is_static:
            static.add(name)
            continue
        assert chunk.timeline_names == [timeline], name
        batch = chunk.to_record_batch()
        times = 1e-9 * batch[timeline].to_numpy(zero_copy_only=False).astype(np.int64)
        main = next(n for n in batch.schema.names if n.split(':')[-1] in (
            'scalars', 'strips', 'positions', 'blob', 'translation', 'text'))
        rows[name] += zip(times, batch[main].to_pylist())
    found = {}
    for name, pairs in rows.items():
        times = np.array([t for t, _ in pairs])
        assert (np.diff(times) >= 0).all(), f'{name} goes back in time'
        found[name] = times, [value for _, value in pairs]
    return found, static

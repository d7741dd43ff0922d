// Copyright 2026 wm_controller maintainers
// SPDX-License-Identifier: Apache-2.0
// The map: a canvas in the odom frame (m, x to the right, y up), with pan, zoom, follow and goals.
'use strict';

function makeMap(panel) {
  const TURN_PX = 14; // a drag longer than this is a heading
  const view = { x: 0, y: 0, scale: 70, follow: true };
  const layers = {};
  let news = null, colours = null, due = false, aiming = false, goal = null;
  const pointers = new Map();
  const canvas = () => document.querySelector('.map-canvas');

  function show(state) {
    news = state;
    Object.assign(layers, state.layers);
    if (view.follow && state.robot && !pointers.size) [view.x, view.y] = state.robot;
    redraw();
  }

  // Metres to pixels and back --------------------------------------------------------------------

  function toPixel(x, y, size) {
    return [size.width / 2 + (x - view.x) * view.scale, size.height / 2 - (y - view.y) * view.scale];
  }
  function toMetre(event) {
    const box = canvas().getBoundingClientRect();
    return [view.x + (event.clientX - box.left - box.width / 2) / view.scale,
      view.y - (event.clientY - box.top - box.height / 2) / view.scale];
  }

  // Drawing --------------------------------------------------------------------------------------

  function redraw() {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; draw(); });
  }

  function draw() {
    const element = canvas();
    if (!element || !news) return;
    const size = element.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (element.width !== Math.round(size.width * ratio) || element.height !== Math.round(size.height * ratio)) {
      element.width = Math.round(size.width * ratio);
      element.height = Math.round(size.height * ratio);
    }
    const style = getComputedStyle(element);
    colours = (name) => style.getPropertyValue(`--${name}`).trim();
    const pen = element.getContext('2d');
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, size.width, size.height);
    pen.lineJoin = pen.lineCap = 'round';
    const live = (name) => !news.stale.includes(name);
    grid(pen, size);
    if (layers.memory) for (const marker of layers.memory) mark(pen, size, marker, live('memory') ? 1 : 0.35);
    if (layers.areas) areas(pen, size, layers.areas, live('areas'));
    if (layers.scan && live('scan')) dots(pen, size, layers.scan, 2.2, colours('scan'));
    if (layers.plan_far && live('plan_far')) line(pen, size, layers.plan_far, colours('far'), 3, [7, 6]);
    if (layers.plan && live('plan')) line(pen, size, layers.plan, colours('plan'), 4);
    if (layers.goal) flag(pen, size, layers.goal, false);
    if (goal) flag(pen, size, goal, true);
    if (news.robot) robot(pen, size, news.robot, live('odom'));
  }

  function path(pen, size, flat) {
    pen.beginPath();
    for (let i = 0; i + 1 < flat.length; i += 2) pen.lineTo(...toPixel(flat[i], flat[i + 1], size));
  }
  function line(pen, size, flat, colour, width, dash = []) {
    path(pen, size, flat);
    pen.setLineDash(dash);
    pen.strokeStyle = colour; pen.lineWidth = width;
    pen.stroke();
    pen.setLineDash([]);
  }
  function dots(pen, size, flat, radius, colour) {
    pen.fillStyle = colour;
    pen.beginPath();
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const [x, y] = toPixel(flat[i], flat[i + 1], size);
      pen.moveTo(x + radius, y);
      pen.arc(x, y, radius, 0, 7);
    }
    pen.fill();
  }
  function mark(pen, size, marker, alpha) {
    const { kind, colour, points } = marker, pixels = Math.max(1.5, marker.size * view.scale);
    const paint = colours(`memory-${marker.name}`) || colour;
    pen.globalAlpha = alpha * (marker.alpha ?? 1);
    if (kind === 'cells') {
      pen.fillStyle = paint;
      for (let i = 0; i + 1 < points.length; i += 2) {
        const [x, y] = toPixel(points[i], points[i + 1], size);
        pen.fillRect(x - pixels / 2, y - pixels / 2, pixels, pixels);
      }
    } else if (kind === 'dots') dots(pen, size, points, Math.max(3, pixels / 2), paint);
    else if (kind === 'strip') line(pen, size, points, paint, Math.max(3, pixels));
    else for (let i = 0; i + 3 < points.length; i += 4) line(pen, size, points.slice(i, i + 4), paint, Math.max(1.5, pixels));
    pen.globalAlpha = 1;
  }
  function areas(pen, size, known, live) {
    pen.globalAlpha = live ? 1 : 0.5;
    for (const polygon of known.keep_out) {
      path(pen, size, polygon);
      pen.closePath();
      pen.fillStyle = colours('keep-out'); pen.strokeStyle = colours('alarm'); pen.lineWidth = 2;
      pen.fill(); pen.stroke();
    }
    for (const polygon of known.geofence) line(pen, size, [...polygon, polygon[0], polygon[1]], colours('alarm'), 2.5, [10, 6]);
    pen.globalAlpha = 1;
  }
  function robot(pen, size, [x, y, yaw], live) {
    const [px, py] = toPixel(x, y, size), known = layers.areas;
    pen.save();
    pen.translate(px, py);
    pen.rotate(-yaw);
    pen.globalAlpha = live ? 1 : 0.5;
    pen.fillStyle = live ? colours('robot') : colours('dim');
    pen.strokeStyle = colours('card'); pen.lineWidth = 2;
    pen.beginPath();
    if (known && known.outline.length > 2) {
      for (let i = 0; i < known.outline.length; i += 2) pen.lineTo(known.outline[i] * view.scale, -known.outline[i + 1] * view.scale);
      pen.closePath();
    } else pen.arc(0, 0, (known ? known.radius : 0.18) * view.scale, 0, 7);
    pen.fill(); pen.stroke();
    const tip = Math.max(7, 0.11 * view.scale); // the heading
    pen.beginPath();
    pen.moveTo(tip, 0); pen.lineTo(-tip * 0.7, tip * 0.7); pen.lineTo(-tip * 0.35, 0); pen.lineTo(-tip * 0.7, -tip * 0.7);
    pen.closePath();
    pen.fillStyle = colours('card');
    pen.fill();
    pen.restore();
  }
  function flag(pen, size, [x, y, yaw], wished) {
    const [px, py] = toPixel(x, y, size);
    pen.strokeStyle = pen.fillStyle = colours('goal');
    pen.lineWidth = 3;
    pen.setLineDash(wished ? [4, 4] : []);
    pen.beginPath(); pen.arc(px, py, 11, 0, 7); pen.stroke();
    pen.setLineDash([]);
    pen.beginPath(); pen.arc(px, py, 4, 0, 7); pen.fill();
    if (yaw === null || yaw === undefined) return;
    pen.beginPath();
    pen.moveTo(px + 11 * Math.cos(yaw), py - 11 * Math.sin(yaw));
    pen.lineTo(px + 26 * Math.cos(yaw), py - 26 * Math.sin(yaw));
    pen.stroke();
  }
  function grid(pen, size) {
    const step = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100].find((each) => each * view.scale >= 48) || 250;
    pen.strokeStyle = colours('grid'); pen.lineWidth = 1;
    pen.beginPath();
    const across = size.width / 2 / view.scale, up = size.height / 2 / view.scale;
    for (let x = Math.ceil((view.x - across) / step) * step; x < view.x + across; x += step) {
      const [px] = toPixel(x, 0, size); pen.moveTo(px, 0); pen.lineTo(px, size.height);
    }
    for (let y = Math.ceil((view.y - up) / step) * step; y < view.y + up; y += step) {
      const [, py] = toPixel(0, y, size); pen.moveTo(0, py); pen.lineTo(size.width, py);
    }
    pen.stroke();
    pen.strokeStyle = pen.fillStyle = colours('dim'); pen.lineWidth = 2;
    const left = 14, low = size.height - 14;
    pen.beginPath(); pen.moveTo(left, low); pen.lineTo(left + step * view.scale, low); pen.stroke();
    pen.font = '12px system-ui, sans-serif';
    pen.fillText(`${step} m`, left, low - 6);
  }

  // Fingers --------------------------------------------------------------------------------------

  function aim() {
    aiming = !aiming;
    goal = null;
    document.body.classList.toggle('aiming', aiming);
    redraw();
  }
  function zoom(factor, event) {
    const scale = Math.min(400, Math.max(4, view.scale * factor));
    if (event) {
      const [x, y] = toMetre(event);
      view.x = x + (view.x - x) * (view.scale / scale);
      view.y = y + (view.y - y) * (view.scale / scale);
    }
    view.scale = scale;
    redraw();
  }
  function follow() { view.follow = true; if (news) show({ ...news, layers: {} }); }

  document.addEventListener('pointerdown', (event) => {
    if (!event.target.classList?.contains('map-canvas')) return;
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    goal = null;
    if (aiming && pointers.size === 1) goal = [...toMetre(event), null];
    redraw();
  });
  document.addEventListener('pointermove', (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const gap = () => { const [a, b] = [...pointers.values()]; return Math.hypot(a[0] - b[0], a[1] - b[1]); };
    if (pointers.size === 2) {
      const was = gap();
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      view.follow = false;
      return zoom(gap() / Math.max(was, 1));
    }
    if (goal) {
      const [x, y] = toMetre(event);
      const turned = Math.hypot(x - goal[0], y - goal[1]) * view.scale > TURN_PX;
      goal[2] = turned ? Math.atan2(y - goal[1], x - goal[0]) : null;
    } else if (!aiming) {
      view.follow = false;
      view.x -= (event.clientX - before[0]) / view.scale;
      view.y += (event.clientY - before[1]) / view.scale;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    }
    redraw();
  });
  for (const name of ['pointerup', 'pointercancel']) {
    document.addEventListener(name, (event) => {
      if (!pointers.delete(event.pointerId) || !goal) return;
      const [x, y, yaw] = goal;
      if (name === 'pointerup' && aiming) {
        aim();
        panel().act('goal', JSON.stringify({ x, y, yaw }));
      }
      goal = null;
      redraw();
    });
  }
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape' && aiming) aim(); });
  document.addEventListener('wheel', (event) => {
    if (!event.target.classList?.contains('map-canvas')) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), event);
  }, { passive: false });
  window.addEventListener('resize', redraw);

  return { show, aim, zoom, follow, where: (x, y) => {
    const box = canvas().getBoundingClientRect(), [px, py] = toPixel(x, y, box);
    return [box.left + px, box.top + py];
  } };
}

// Copyright 2026 wm_controller maintainers
// SPDX-License-Identifier: Apache-2.0
// The stick: beats while a finger holds it, nothing otherwise. The node decides what they are worth
// (dead_man.py); here it only ends on everything that could mean that nobody holds it.
'use strict';

function makeStick(panel) {
  const BEAT_MS = 50, GREET_MS = 1000, RADIUS = 64, STUCK_BEATS = 4;
  let line = null, press = 0, held = null, fast = false;
  const clock = () => performance.now() / 1000;
  const box = () => document.querySelector('.stick');
  const open = () => line && line.readyState === WebSocket.OPEN;

  function connect() {
    line = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/stick`);
    line.onopen = () => { document.body.classList.add('linked'); greet(); };
    line.onclose = () => { document.body.classList.remove('linked'); release('connection lost'); setTimeout(connect, 1000); };
    line.onmessage = (event) => {
      const news = JSON.parse(event.data);
      if (held && news.press === held.press) release(news.refused);
    };
  }
  function greet() { if (open() && !held) line.send(JSON.stringify({ sent_s: clock() })); }

  function grasp(event) {
    if (held || !event.isPrimary || event.button > 0) return;
    event.preventDefault();
    if (!open()) { panel().toast('The stick has no connection', false); return; }
    held = { pointer: event.pointerId, press: press++, sequence: 0, stuck: 0, fast,
      origin: [event.clientX, event.clientY], x: 0, y: 0 };
    const element = box();
    element.setPointerCapture(event.pointerId);
    element.classList.add('on');
    const edge = element.getBoundingClientRect();
    element.style.setProperty('--left', `${event.clientX - edge.left}px`);
    element.style.setProperty('--top', `${event.clientY - edge.top}px`);
    draw();
    beat();
    held.timer = setInterval(beat, BEAT_MS);
  }

  function move(event) {
    if (!held || event.pointerId !== held.pointer) return;
    const x = (event.clientX - held.origin[0]) / RADIUS, y = (held.origin[1] - event.clientY) / RADIUS;
    const shrink = 1 / Math.max(1, Math.hypot(x, y));
    [held.x, held.y] = [x * shrink, y * shrink];
    draw();
  }

  function beat() {
    if (!held) return;
    if (!document.hasFocus() || document.hidden) return release('the page is not in front');
    // What the line cannot take now would arrive late: better nothing than that.
    if (line.bufferedAmount > 0) { if (++held.stuck > STUCK_BEATS) release('connection too slow'); return; }
    held.stuck = 0;
    line.send(JSON.stringify({ press: held.press, sequence: held.sequence++, sent_s: clock(),
      x: held.x, y: held.y, fast: held.fast }));
  }

  function release(why) {
    if (!held) return;
    clearInterval(held.timer);
    held = null;
    if (open()) line.send('{"release":true}');
    const element = box();
    if (element) { element.classList.remove('on'); element.style.removeProperty('--left'); element.style.removeProperty('--top'); }
    draw();
    if (typeof why === 'string') panel().toast(`Stick released: ${why}`, false);
  }

  function draw() {
    const element = box();
    if (!element) return;
    element.style.setProperty('--x', `${held ? held.x * RADIUS : 0}px`);
    element.style.setProperty('--y', `${held ? -held.y * RADIUS : 0}px`);
  }

  function faster() {
    fast = !fast;
    document.body.classList.toggle('fast', fast);
    const label = document.querySelector('.pace .block');
    if (label) label.textContent = fast ? 'Full speed' : 'Slow';
  }

  document.addEventListener('pointerdown', (event) => { if (event.target.closest?.('.stick')) grasp(event); });
  document.addEventListener('pointermove', move);
  for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    document.addEventListener(name, (event) => { if (held && event.pointerId === held.pointer) release(); });
  }
  for (const name of ['visibilitychange', 'freeze']) {
    document.addEventListener(name, () => { if (document.hidden || name === 'freeze') release('the page is not in front'); });
  }
  for (const name of ['blur', 'pagehide', 'offline']) window.addEventListener(name, () => release('the page is not in front'));
  document.addEventListener('contextmenu', (event) => { if (event.target.closest?.('.stick')) event.preventDefault(); });
  setInterval(greet, GREET_MS);
  connect();
  return { release, faster };
}

// Copyright 2026 wm_controller maintainers
// SPDX-License-Identifier: Apache-2.0
// What is live on the page, the actions, and the STOP button. map.js and stick.js are loaded first.
'use strict';

const panel = (() => {
  const SILENT_MS = 1200; // without news the page is no picture of the robot any more
  const ALARM_MS = 15000;
  const INSIST_MS = 120000; // a STOP is repeated so long: a guardrail that starts anew gets it too
  const NAMES = { camera: 'image', imagination: 'image', odom: 'position' };
  let state = null;
  let heardMs = -Infinity;
  const find = (selector) => document.querySelector(selector);
  const nap = (ms) => new Promise((done) => setTimeout(done, ms));

  // News, four times a second -------------------------------------------------------------------

  function show(news) {
    state = news;
    heardMs = performance.now();
    document.body.dataset.mode = news.mode;
    document.body.classList.toggle('held', news.held);
    panel.map.show(news);
    showAge('odom', news.ages.odom, news.stale.includes('odom'));
  }

  function showAge(name, age, stale) {
    const label = find(`[data-age=${name}]`);
    if (!label) return;
    label.parentElement.classList.toggle('stale', stale);
    label.textContent = stale
      ? (age === undefined ? `no ${NAMES[name]} yet` : `${NAMES[name]} is ${age.toFixed(age < 10 ? 1 : 0)} s old`) : '';
  }

  function watch() {
    const silentMs = performance.now() - heardMs;
    const lost = silentMs > SILENT_MS;
    document.body.classList.toggle('lost', lost);
    if (performance.now() < alarmedMs) banner(alarm);
    else if (!lost) banner('');
    else banner(heardMs === -Infinity ? 'Connecting…' : `No connection for ${(silentMs / 1000).toFixed(0)} s: what you see is old`);
  }

  let alarm = '', alarmedMs = -Infinity;
  function alarmed(text) {
    [alarm, alarmedMs] = [text, performance.now() + ALARM_MS];
    watch();
  }
  function banner(text) {
    const element = find('#banner');
    if (element && element.textContent !== text) element.textContent = text;
  }

  let toastTimer = 0;
  function toast(text, good) {
    const element = find('#toast');
    element.textContent = text;
    element.className = good ? 'good' : 'bad';
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => { element.className = ''; }, good ? 3000 : 7000);
  }

  // Actions: plain POST, never kept for later -----------------------------------------------------

  async function act(path, body) {
    const headers = { 'x-seen': String(state ? state.at : '') };
    try {
      const reply = await fetch(`/${path}`, {
        method: 'POST', body, headers, signal: AbortSignal.timeout(body instanceof Blob ? 30000 : 4000),
      });
      if (reply.status === 401) return void location.reload();
      const answer = await reply.json();
      toast(answer.text, answer.done);
    } catch {
      toast('That did not reach the robot. Nothing was done.', false);
    }
  }

  function pick() {
    const input = document.createElement('input');
    input.type = 'file';
    input.accept = 'image/jpeg,image/png,image/webp';
    input.onchange = () => { if (input.files[0]) act('goal_picture', input.files[0]); };
    input.click();
  }

  // STOP: at the touch, again and again until it is confirmed ------------------------------------

  let stopping = false;
  async function stop() {
    panel.stick.release();
    if (stopping) return;
    stopping = true;
    const untilMs = performance.now() + INSIST_MS;
    while (performance.now() < untilMs) {
      try {
        const reply = await fetch('/stop', {
          method: 'POST', keepalive: true, signal: AbortSignal.timeout(2500),
        });
        if (reply.status === 401) { location.reload(); break; }
        const answer = await reply.json();
        if (answer.done) {
          alarmedMs = -Infinity;
          toast(answer.text, true);
          break;
        }
        alarmed(`STOP IS NOT CONFIRMED: ${answer.text}`);
      } catch {
        alarmed('STOP DOES NOT GET THROUGH: use the stop on the robot');
      }
      await nap(200);
    }
    stopping = false;
  }

  document.addEventListener('pointerdown', (event) => {
    if (event.target.closest?.('#stop')) stop();
  }, true);
  document.addEventListener('submit', (event) => {
    if (event.target.id !== 'stop') return;
    event.preventDefault();
    stop();
  });

  // Images: the next is asked for when the last has come ------------------------------------------

  async function follow(name) {
    let sequence = 0;
    let bornMs = -Infinity;
    let url = '';
    for (;;) {
      const image = find(`[data-stream=${name}]`);
      if (document.hidden || !image) { await nap(200); continue; }
      const askedMs = performance.now();
      try {
        const reply = await fetch(`/frame/${name}?after=${sequence}`, { signal: AbortSignal.timeout(4000) });
        if (reply.status === 200) {
          sequence = Number(reply.headers.get('x-sequence'));
          bornMs = performance.now() - 1000 * Number(reply.headers.get('x-age'));
          const next = URL.createObjectURL(await reply.blob());
          image.src = next;
          await image.decode().catch(() => {});
          if (url) URL.revokeObjectURL(url);
          url = next;
        } else if (reply.status !== 204) await nap(1000);
      } catch { await nap(500); }
      ages[name] = bornMs;
      const passedMs = performance.now() - askedMs;
      if (passedMs < 80) await nap(80 - passedMs);
    }
  }
  const ages = { camera: -Infinity, imagination: -Infinity };
  const OLD_MS = { camera: 1000, imagination: 15000 };

  setInterval(() => {
    watch();
    for (const name of Object.keys(ages)) {
      const ageMs = performance.now() - ages[name];
      showAge(name, ageMs === Infinity ? undefined : ageMs / 1000, ageMs > OLD_MS[name]);
    }
  }, 200);
  for (const name of Object.keys(ages)) follow(name);

  function guards() { find('.guards')?.classList.toggle('all'); }

  return { show, act, pick, stop, toast, guards, find,
    map: makeMap(() => panel), stick: makeStick(() => panel),
    aim: () => panel.map.aim() };
})();

# Copyright 2026 wm_controller maintainers
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402
"""The operator's panel in a real browser, with a real guardrail, over real DDS."""

import os
import random
import shutil
import signal
import time

import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('nicegui', reason='needs nicegui, the extra panel')
sync_api = pytest.importorskip('playwright.sync_api', reason='needs playwright')
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which(
    'google-chrome')

import numpy as np
from PIL import Image as Picture

from panel_stage import (
    Cable,
    free_port,
    handshake,
    panel_arguments,
    processes,
    request,
    Stage,
    TOKEN,
)
from ros_probe import Probe
from wm_controller.nodes.conversions import yaw_of


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip('needs chromium')
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')) % 10
    with pytest.MonkeyPatch.context() as patch, sync_api.sync_playwright() as playwright, \
            processes(tmp_path_factory.mktemp('panel')) as start:
        patch.setenv('ROS_DOMAIN_ID', str(1 + 10 * worker + random.SystemRandom().randrange(10)))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        with Probe() as probe:
            yield Stage(start, probe, browser)
        browser.close()


@pytest.fixture(scope='module')
def opened(stage):
    context = stage.browser.new_context(viewport={'width': 1440, 'height': 900})
    page = context.new_page()
    open_page(page, stage.url)
    return page


@pytest.fixture
def page(stage, opened):
    """The page of an operator, with autonomy on as at the start."""
    stage.autonomy()
    opened.wait_for_function('document.body.dataset.mode == "auto"')
    yield opened
    opened.mouse.up()


def open_page(page, url):
    page.goto(url)
    page.wait_for_selector('body.linked .camera .frame[src]', timeout=20_000)
    page.wait_for_function('document.body.dataset.mode && document.body.dataset.mode != "unknown"')


def see(page, x, y):
    """Colour in the middle of the camera image as the browser shows it."""
    return page.evaluate("""() => {
      const image = document.querySelector('.camera .frame'), canvas = new OffscreenCanvas(1, 1);
      const pen = canvas.getContext('2d');
      pen.drawImage(image, 10, 10, 1, 1, 0, 0, 1, 1);
      return [...pen.getImageData(0, 0, 1, 1).data];
    }""")[:3]


def test_the_page_shows_camera_mode_and_robot_and_asks_nobody_else(stage, page):
    foreign, errors = [], []
    page.on('request', lambda r: foreign.append(r.url) if not r.url.startswith(
        (stage.url, f'blob:{stage.url}', 'data:')) else None)
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.reload()
    page.wait_for_selector('.camera .frame[src]')
    page.wait_for_function('document.body.dataset.mode == "auto"')
    assert np.abs(np.array(see(page, 10, 10)) - (20, 200, 60)).max() < 12
    assert page.inner_text('[data-text=mode]') == 'Autonomy is on'
    assert page.inner_text('[data-text=speed]').startswith('0.10 m/s')
    assert page.inner_text('[data-text=controller]') == 'no word from the controller'
    page.wait_for_function('panel.map.where(2, -1)[0] > 0')
    box = page.locator('.map-canvas').bounding_box()
    x, y = page.evaluate('panel.map.where(2, -1)')  # it follows: the robot is in the middle
    assert abs(x - box['x'] - box['width'] / 2) < 2 and abs(y - box['y'] - box['height'] / 2) < 2
    assert (foreign, errors) == ([], [])


def test_stop_latches_reset_and_enable_bring_it_back(stage, page):
    page.click('#stop button')
    stage.mode('stopped')
    page.wait_for_function('document.body.dataset.mode == "stopped"')
    assert page.inner_text('[data-text=mode]') == 'Emergency stop'
    page.wait_for_selector('[data-guard=emergency_stop].on')
    assert 'refused: the emergency stop is latched' in stage.answer(page, 'enable')
    assert 'reset' in stage.answer(page, 'reset')
    stage.mode('hold')
    assert stage.answer(page, 'enable') == 'autonomy on'
    stage.mode('auto')
    assert stage.answer(page, 'disable') == 'autonomy off'
    stage.mode('hold')
    assert stage.answer(page, 'cancel') == 'the controller is not running'
    for line in ('STOP: stopped; Reset stop clears it', 'mode stopped', 'enable: autonomy on',
                 'guardrail in force: emergency stop', 'cancel: the controller is not running'):
        page.wait_for_selector(f'.line:has-text("{line}")')


def test_stop_works_without_any_script_and_without_nicegui(stage):
    context = stage.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(stage.url)
    page.click('#stop button')
    stage.mode('stopped')
    context.close()
    stage.autonomy()


def test_a_held_stick_drives_and_a_lifted_finger_ends_it(stage, page):
    stage.teleop.clear()
    stage.hold(page)
    stage.mode('teleop')
    stage.probe.spin(1.0)
    stamps = [t for t, _, _ in stage.teleop]
    assert stage.teleop[0][1:] == (0.0, 0.0), 'it begins at rest'
    assert max(v for _, v, _ in stage.teleop) <= 0.4 * 0.5 + 1e-6, 'slow by default'
    rate = 1.0 / np.median(np.diff(stamps))
    assert 14.0 < rate < 22.0
    since = time.time()
    page.mouse.up()
    print(f'{rate:.1f} Hz; released after {stage.ended(since):.3f} s')
    stage.mode('hold')


def close_page(page, _):
    page.close()


def hide_page(page, _):
    # What a browser does when another app or tab comes in front; headless it has only one.
    page.evaluate("""() => {
      Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
      delete document.hidden;
    }""")


def blur_page(page, _):
    page.evaluate('window.dispatchEvent(new Event("blur"))')


def freeze_browser(page, _):
    page.evaluate('setTimeout(() => { const t = Date.now(); while (Date.now() - t < 1500); })')


def pull_cable(_, cable):
    cable.pull()


@pytest.mark.parametrize('loss', [hide_page, blur_page, freeze_browser, close_page, pull_cable])
def test_whatever_is_lost_the_stick_is_let_go(stage, page, loss):
    cable = context = None
    if loss in (close_page, pull_cable):
        cable, context = Cable(stage.port), stage.browser.new_context()
        page = context.new_page()
        open_page(page, f'http://127.0.0.1:{cable.port}/')
    stage.teleop.clear()
    stage.hold(page)
    since = time.time()
    loss(page, cable)
    print(f'{loss.__name__}: let go after {stage.ended(since):.3f} s')
    if loss is pull_cable:
        page.wait_for_function('document.body.classList.contains("lost")')
        assert 'what you see is old' in page.inner_text('#banner')
        cable.plug()  # all that was kept back arrives now, the finger is still down
    if loss is not close_page:
        page.mouse.move(5, 5)
        stage.probe.spin(0.6)
        page.mouse.up()
    assert stage.teleop[-1][1:] == (0.0, 0.0) and time.time() - stage.teleop[-1][0] > 0.5
    if context is not None:
        context.close()
        cable.close()


def test_a_second_browser_is_told_that_the_stick_is_held(stage, page):
    stage.teleop.clear()
    stage.hold(page)
    context = stage.browser.new_context()
    other = context.new_page()
    open_page(other, stage.url)
    box = other.locator('.stick').bounding_box()
    other.mouse.move(box['x'] + 50, box['y'] + 50)
    other.mouse.down()
    other.wait_for_function('document.querySelector("#toast").textContent')
    assert 'another browser holds the stick' in other.inner_text('#toast')
    since = time.time()
    page.mouse.up()
    stage.ended(since)  # the other one does not take over: it has to touch anew
    context.close()


def test_a_press_on_the_map_is_a_goal_in_odom(stage, page):
    stage.goals.clear()
    page.click('.aim')
    x, y = page.evaluate('panel.map.where(3.2, -0.4)')
    page.mouse.click(x, y)
    stage.probe.until(lambda: stage.goals, 5.0, 'the goal')
    goal = stage.goals[0]
    assert goal.header.frame_id == 'odom'
    assert (goal.pose.position.x, goal.pose.position.y) == pytest.approx((3.2, -0.4), abs=0.03)
    page.mouse.click(x + 50, y)  # once aimed, once pressed: this one only moves the map
    page.click('.aim')
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 60, steps=3)
    page.mouse.up()
    stage.probe.until(lambda: len(stage.goals) == 2, 5.0, 'the goal with a heading')
    assert yaw_of(stage.goals[1].pose.orientation, 'goal') == pytest.approx(np.pi / 2, abs=0.05)
    stage.probe.spin(0.3)
    assert len(stage.goals) == 2


def test_a_picture_is_a_goal_and_other_files_are_refused(stage, page, tmp_path):
    stage.pictures.clear()
    good, bad = tmp_path / 'goal.png', tmp_path / 'notes.png'
    Picture.fromarray(np.full((90, 120, 3), (7, 90, 200), np.uint8)).save(good)
    bad.write_bytes(b'\x80\x04\x95not a picture')
    for path, text in ((bad, 'no picture that can be read'), (good, 'sent, 120x90')):
        page.evaluate('document.querySelector("#toast").textContent = ""')
        with page.expect_file_chooser() as chooser:
            page.click('.act.pick')
        chooser.value.set_files(path)
        page.wait_for_function('text => document.querySelector("#toast").textContent'
                               '.includes(text)', arg=text)
    stage.probe.until(lambda: stage.pictures, 5.0, 'the goal picture')
    assert (stage.pictures[0].width, stage.pictures[0].height) == (120, 90)
    assert bytes(stage.pictures[0].data[:3]) == bytes((7, 90, 200))
    assert 'sent, 64x48' in stage.answer(page, 'view')
    stage.probe.until(lambda: len(stage.pictures) == 2, 5.0, 'the camera image as goal')


def test_what_is_old_is_shown_as_old(stage, page):
    os.kill(stage.robot.pid, signal.SIGSTOP)
    try:
        page.wait_for_selector('.camera.stale')
        assert 'image is ' in page.inner_text('[data-age=camera]')
        page.wait_for_selector('.map.stale')
        page.wait_for_function('/odometry .* old/.test(document.querySelector('
                               '"[data-text=speed]").textContent)')
        assert stage.answer(page, 'view') == 'refused: there is no fresh camera image'
    finally:
        os.kill(stage.robot.pid, signal.SIGCONT)
    page.wait_for_selector('.camera:not(.stale)')


def test_it_outlives_the_guardrail(stage, page):
    stage.guardrail.kill()
    page.wait_for_function('document.body.dataset.mode == "unknown"', timeout=10_000)
    assert page.inner_text('[data-text=because]').startswith('The guardrail has been silent for')
    page.click('#stop button')
    page.wait_for_function('document.querySelector("#banner").textContent.includes('
                           '"use the stop on the robot")')
    stage.guardrail = stage.start_guardrail()  # the page has not given up: it is stopped at once
    page.wait_for_function('document.body.dataset.mode == "stopped"', timeout=30_000)
    page.wait_for_function('!document.querySelector("#banner").textContent')


def test_what_was_decided_on_an_old_view_is_refused(stage):
    now = time.monotonic()
    for seen in ('', 'nan', 'inf', str(now - 10.0), str(now + 60.0), 'x'):
        for path, body in (('do/enable', b''), ('do/reset', b''), ('goal', b'{"x":1,"y":1}'),
                           ('goal_camera', b''), ('goal_picture', b'')):
            status, _, text = request(stage.url + path, 'POST', body, x_seen=seen)
            assert status == 200 and 'refused: the page shows an old state' in text, (seen, path)


@pytest.mark.parametrize('body', [
    b'', b'[]', b'{}', b'{"x":1}', b'{"x":"a","y":1}', b'{"x":NaN,"y":1}', b'{"x":1e9,"y":1}',
    b'{"x":1,"y":1,"yaw":Infinity}', b'\xff\xfe', b'[' * 5000])
def test_a_goal_that_is_none_is_refused(stage, body):
    stage.goals.clear()
    status, _, text = request(f'{stage.url}goal', 'POST', body, x_seen=str(time.monotonic()))
    assert status == 200 and '"done":false' in text and 'refused: a goal' in text
    stage.probe.spin(0.05)
    assert not stage.goals


def test_other_origins_and_names_are_refused(stage):
    evil = 'http://evil.example'
    assert request(f'{stage.url}stop', 'POST', b'', origin=evil)[0] == 403
    assert request(stage.url, host='evil.example')[0] == 403
    assert request(f'{stage.url}do/enable', 'POST', b'', sec_fetch_site='cross-site')[0] == 403
    for path in ('/stick', '/_nicegui_ws/socket.io/?EIO=4&transport=websocket'):
        assert handshake(stage.port, path, Origin=evil) == 403
        assert handshake(stage.port, path, Origin=stage.url[:-1]) == 101
    assert request(f'{stage.url}goal', 'POST', bytes(200_000))[0] == 413
    assert request(f'{stage.url}goal_picture', 'POST', bytes(13 * 2**20),
                   x_seen=str(time.monotonic()))[2].count('larger than 12 MB') == 1
    for path in ('docs', 'openapi.json', 'static/../page.py', 'frame/secret', 'do/shutdown'):
        assert request(stage.url + path)[0] in (404, 405)


def test_with_a_token_everything_is_shut_until_it_is_given(stage):
    stage.autonomy()
    port, url, panel = stage.tokened()
    try:
        for method, path in (('GET', ''), ('GET', 'frame/camera'), ('GET', 'static/panel.js'),
                             ('POST', 'stop'), ('POST', 'do/enable'), ('POST', 'goal_picture'),
                             ('GET', '_nicegui_ws/socket.io/?EIO=4&transport=polling')):
            body = b'' if method == 'POST' else None
            status, _, text = request(url + path, method, body, cookie=f'wm_panel_{port}=x')
            assert status == 401 and 'STOP' not in text, path
        context = stage.browser.new_context()
        page = context.new_page()
        page.goto(url)
        page.fill('[name=token]', 'wrong')
        page.click('button')
        assert 'That is not the token' in page.inner_text('[role=alert]')
        page.goto(f'{url}?token={TOKEN.replace(" ", "%20")}')
        page.wait_for_selector('.camera .frame[src]')
        assert page.url == url
        cookie, = context.cookies()
        assert (cookie['httpOnly'], cookie['sameSite']) == (True, 'Strict')
        assert TOKEN not in cookie['value']
        page.wait_for_function('document.body.dataset.mode == "auto"')
        context.close()
        assert request(f'{url}stop', 'POST', b'', origin='http://evil.example',
                       cookie=f"wm_panel_{port}={cookie['value']}")[0] == 403
        for _ in range(2):
            assert request(f'{url}?token=wrong')[0] == 401
        assert request(f'{url}?token=wrong')[0] in (401, 429)
        assert request(f'{url}?token={TOKEN.replace(" ", "%20")}')[0] == 429
        assert TOKEN not in panel.log.read_text()
    finally:
        panel.kill()


def test_a_bad_start_is_one_line(stage):
    refused = [(words, stage.start('refused', *panel_arguments(
        **{'port': free_port(), **parameters}))) for words, parameters in (
            ('a token is required', {'host': '0.0.0.0'}),
            ('put it in quotes', {'token': '1234567890123456'}),
            ('cannot listen there', {'port': stage.port}))]
    for words, panel in refused:
        assert panel.wait(timeout=60) == 2
        text = panel.log.read_text()
        assert words in text and text.count('\n') == 1, text


def test_ended_with_the_stick_held_it_says_zero_and_goes(stage):
    _, url, panel = stage.tokened()
    context = stage.browser.new_context()
    page = context.new_page()
    open_page(page, f'{url}?token={TOKEN.replace(" ", "%20")}')
    stage.teleop.clear()
    stage.hold(page)
    since, began = time.time(), time.monotonic()
    panel.send_signal(signal.SIGTERM)
    assert panel.wait(timeout=10) == 0
    took = time.monotonic() - began
    print(f'ended after {took:.2f} s; zero after {stage.ended(since):.3f} s')
    assert took < 3.0
    context.close()
    assert 'Traceback' not in panel.log.read_text()

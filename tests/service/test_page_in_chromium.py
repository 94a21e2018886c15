"""The page as people use it: real headless Chromium against the real service on a socket."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from c2vl_serve.errors import RuntimeUnavailable
from c2vl_serve.pose import find_pose_model
from c2vl_serve.recognition.recognizer import ActionRecognizer
from c2vl_serve.service.app import create_app
from c2vl_serve.service.settings import ServiceSettings

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
Browser = playwright.Browser
Page = playwright.Page

EXAMPLE = Path(__file__).parents[2] / "examples" / "wave.json"
PATIENCE = 60_000  # milliseconds for an answer, on a busy machine
# Chromium logs each answer of 4xx; those that a test asks for are no trouble.
REFUSED = "Failed to load resource: the server responded with a status of 4"
PAINTED = """() => {
  const canvas = document.getElementById("canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 3 && value > 200).length;
}"""


@contextmanager
def serving(settings: ServiceSettings, recognizer: ActionRecognizer) -> Iterator[str]:
    """The service on a free port, in a thread."""
    app = create_app(settings, recognizer)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="on", ws="none", log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service does not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def everyday() -> ActionRecognizer:
    return ActionRecognizer.load("everyday")


@pytest.fixture(scope="module")
def service(everyday: ActionRecognizer) -> Iterator[str]:
    with serving(ServiceSettings(pose_workers=1), everyday) as address:
        yield address


# Of this module, not of the session: the event loop that it leaves running in this thread would
# be in the way of tests that start their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (make browser, or apt-get install chromium)")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", *camera])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, service: str) -> Iterator[Page]:
    """The page, ready; afterwards nothing was logged as an error and nothing came from outside."""
    with opened(browser, service) as page:
        expect(page.locator("#status")).to_have_attribute("data-state", "ready")
        yield page


@contextmanager
def opened(browser: Browser, address: str, **context: object) -> Iterator[Page]:
    troubles: list[str] = []
    page = browser.new_page(**context)
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
    page.on("request", lambda request: troubles.append(request.url) if away(request.url) else None)
    page.goto(address)
    yield page
    page.close()
    assert [trouble for trouble in troubles if not trouble.startswith(REFUSED)] == []


def away(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:"))


@pytest.fixture(scope="module")
def pose_model() -> None:
    try:
        find_pose_model()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


def test_it_says_what_is_served_and_asks_for_nothing_else(page: Page) -> None:
    expect(page.locator("#bundle")).to_have_text("everyday 1.0.0")
    expect(page.locator("#runtime")).to_have_text("onnxruntime, CPU")
    expect(page.get_by_text("gone with the request")).to_be_visible()
    expect(page.locator("#player")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()


def test_a_dropped_skeleton_is_answered_and_drawn(page: Page) -> None:
    drop = """text => {
      const held = new DataTransfer();
      held.items.add(new File([text], "wave.json"));
      document.getElementById("stage").dispatchEvent(
        new DragEvent("drop", {dataTransfer: held, bubbles: true, cancelable: true}));
    }"""
    page.evaluate(drop, EXAMPLE.read_text())
    expect(page.locator(".verdict")).to_have_text("wave")
    expect(page.locator(".scores li")).to_have_count(5)
    expect(page.locator("#announcement")).to_have_text(re.compile(r"Answer: wave, (> )?\d+ %\."))
    expect(page.locator("#timeline button")).to_have_count(1)
    assert page.evaluate(PAINTED) > 500
    page.get_by_text("The answer as JSON").click()
    expect(page.locator("#json")).to_contain_text('"label": "wave"')


def test_a_skeleton_turns_and_plays_by_keys_alone(browser: Browser, service: str) -> None:
    with opened(browser, service, reduced_motion="reduce") as page:
        press_until(page, "Try an example")
        page.keyboard.press("Enter")
        expect(page.locator(".verdict")).to_have_text("wave")
        assert page.evaluate("document.querySelector('#play').ariaLabel") == "Play"  # stands still
        page.locator("#clip").focus()
        press_until(page, "1 skeleton, to be turned with the arrow keys")
        picture = "document.getElementById('canvas').toDataURL()"
        before = page.evaluate(picture)
        page.keyboard.press("ArrowRight")
        turned = page.evaluate(picture)
        assert turned != before
        press_until(page, "Position")
        page.keyboard.press("End")
        expect(page.locator("#position")).to_have_attribute("aria-valuetext", "2.0 s")
        assert page.evaluate(picture) != turned


def press_until(page: Page, name: str) -> None:
    """Press Tab until what is focused has this name."""
    for _ in range(30):
        page.keyboard.press("Tab")
        focused = "document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"
        if page.evaluate(focused) == name:
            return
    pytest.fail(f"the Tab key never reaches {name!r}")


def test_windows_are_reached_by_arrow_keys_and_seek(page: Page) -> None:
    page.get_by_text("How to read and answer").click()
    page.get_by_label("Window, seconds").fill("1")
    page.set_input_files("#file", EXAMPLE)
    rows = page.locator("#timeline .row")
    expect(rows.nth(0).locator("button")).to_have_count(1)  # waving all the time: one segment
    windows = rows.nth(1).locator("button")
    expect(windows).to_have_count(3)  # 2 seconds, every half second
    expect(rows.nth(1)).to_have_attribute("aria-label", "Person 1, windows")
    page.locator("#play").click()
    spans = page.locator("#timeline button")
    assert [span.get_attribute("tabindex") for span in spans.all()] == ["0", "-1", "-1", "-1"]
    spans.first.focus()
    for window in windows.all():
        page.keyboard.press("ArrowRight")
        expect(window).to_be_focused()
        expect(window).to_have_attribute("tabindex", "0")
    page.keyboard.press("Enter")
    expect(page.locator("#position")).to_have_attribute("aria-valuetext", "1.0 s")
    assert str(windows.first.get_attribute("aria-label")).endswith("0.0 s to 1.0 s")


def test_what_cannot_be_read_is_told_in_a_sentence(page: Page, tmp_path: Path) -> None:
    text = tmp_path / "notes.json"
    text.write_text('{"joints": "none"}')
    page.set_input_files("#file", text)
    expect(page.get_by_role("alert")).to_contain_text("The input does not say which layout")
    expect(page.locator("#player")).to_be_hidden()
    expect(page.get_by_text("Drop a clip here")).to_be_visible()
    expect(page.get_by_role("button", name="Enrol this clip")).to_be_disabled()
    page.set_input_files("#file", EXAMPLE)
    expect(page.locator(".verdict")).to_have_text("wave")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_role("button", name="Enrol this clip")).to_be_enabled()
    # Also after a clip that was read, and where the browser would have to play the other.
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no film")
    page.set_input_files("#file", film)
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_text("Drop a clip here")).to_be_visible()
    expect(page.locator("#picture")).to_be_hidden()
    expect(page.get_by_role("button", name="Enrol this clip")).to_be_disabled()


def test_layouts_to_choose_from_come_from_the_service(page: Page) -> None:
    page.get_by_text("How to read and answer").click()
    options = page.locator("#layout option")
    expect(options).to_have_count(8)
    assert "ntu25" in options.all_text_contents()


def test_a_key_is_asked_for_and_kept(browser: Browser, everyday: ActionRecognizer) -> None:
    settings = ServiceSettings(pose_workers=0, api_keys="secret")
    with serving(settings, everyday) as address, opened(browser, address) as page:
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        page.get_by_role("textbox", name="API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("does not know this key")
        page.get_by_role("textbox", name="API key").fill("secret")
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.locator("#bundle")).to_have_text("everyday 1.0.0")
        page.reload()
        expect(page.locator("#bundle")).to_have_text("everyday 1.0.0")
        expect(dialog).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser: Browser, service: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with opened(browser, service, color_scheme=scheme, reduced_motion="reduce") as page:
        expect(page.locator("#status")).to_have_attribute("data-state", "ready")
        page.get_by_text("How to read and answer").click()
        page.get_by_role("button", name="Try an example").click()
        expect(page.locator(".verdict")).to_have_text("wave")
        page.get_by_text("The answer as JSON").click()
        result = axe.Axe().run(page)
        assert result.violations_count == 0, result.generate_report()


def test_it_fits_a_phone(browser: Browser, service: str) -> None:
    with opened(browser, service, viewport={"width": 360, "height": 740}) as page:
        page.get_by_role("button", name="Try an example").click()
        expect(page.locator(".verdict")).to_have_text("wave")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_a_video_plays_under_its_skeleton(page: Page, data_dir: Path, pose_model: None) -> None:
    page.get_by_text("How to read and answer").click()
    page.get_by_label("Window, seconds").fill("0.5")
    page.get_by_label("Persons at most").fill("1")
    page.set_input_files("#file", data_dir / "videos" / "clips" / "omartarek198_jump.mp4")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator("#stage")).to_have_attribute("data-view", "video")
    assert page.locator("#timeline button").count() >= 2
    page.locator("#timeline button").last.click()
    assert page.evaluate(PAINTED) > 500
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


@pytest.mark.slow
def test_a_request_can_be_cancelled(page: Page, data_dir: Path, pose_model: None) -> None:
    page.set_input_files("#file", data_dir / "videos" / "clips" / "treadtv_starfish.mp4")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#answer")).to_have_text("Cancelled.")
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.slow
def test_a_webcam_clip_is_recorded_and_answered(page: Page, pose_model: None) -> None:
    page.get_by_role("button", name="Record a clip").click()
    page.wait_for_selector("#stage.on-air")  # after the countdown, with a picture
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".verdict")).to_have_text("Nobody seen")  # a test picture
    expect(page.locator("#stage")).to_have_attribute("data-view", "video")
    expect(page.locator("#preview")).to_be_hidden()
    assert page.evaluate("Number.isFinite(document.getElementById('video').duration)")


@pytest.mark.slow
def test_the_webcam_is_watched_clip_after_clip(page: Page, pose_model: None) -> None:
    page.get_by_role("button", name="Watch the webcam").click()
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator(".log li").first).to_contain_text("Nobody seen")
    page.get_by_role("button", name="Stop watching").click()
    expect(page.locator("#preview")).to_be_hidden()
    assert page.evaluate("document.getElementById('preview').srcObject") is None


def test_an_action_is_enrolled_recognised_and_removed(page: Page) -> None:
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator(".verdict")).to_have_text("wave")
    page.get_by_label("Name").fill("greeting")
    page.get_by_role("button", name="Enrol this clip").click()
    remove = page.get_by_role("button", name="Remove greeting")
    expect(remove).to_be_visible()
    expect(page.locator("#gallery-news")).to_contain_text("“greeting” has 1 example now.")
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator(".verdict")).to_have_text("greeting")
    remove.click()
    expect(remove).to_be_hidden()
    expect(page.locator("#gallery-news")).to_have_text("“greeting” is forgotten.")

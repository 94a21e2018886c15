// Webcam modes: record one clip, or watch: clip after clip, each answered while the next is recorded.

import { postFile } from "./api.js";
import { verdictOf } from "./answer.js";
import { closeCamera, countDown, openCamera, record, recordOnAndOn } from "./camera.js";
import { byId, make } from "./elements.js";
import { percent } from "./words.js";

const CLIP_SECONDS = 10; // of a recorded clip, at most
const WATCH_SECONDS = 4.5; // a little more than the bundle's window
const REMEMBERED = 8; // answers listed

export class Webcam {
  /** Callbacks: a recorded clip, an answered clip, a sentence of trouble. */
  constructor({ onStart, onClip, onAnswer, onTrouble }) {
    Object.assign(this, { onStart, onClip, onAnswer, onTrouble });
    this.preview = byId("preview");
    this.running = null;
    this.#listen("record", "Stop recording", (signal) => this.#recordOne(signal));
    this.#listen("live", "Stop watching", (signal) => this.#watch(signal));
  }

  stop() {
    this.running?.abort();
  }

  #listen(id, stopWords, run) {
    const button = byId(id);
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const wasOn = button.getAttribute("aria-pressed") === "true";
      this.stop();
      if (wasOn) return;
      const mine = new AbortController();
      this.running = mine;
      press(button, true, stopWords);
      try {
        await run(mine.signal);
      } catch (error) {
        this.onTrouble(error.message);
      }
      press(button, false, words);
      if (this.running === mine) {
        this.running = null;
        this.#hideCamera();
      }
    });
  }

  async #recordOne(signal) {
    const stream = await this.#showCamera("recording");
    if (!await countDown(byId("countdown"), signal)) return;
    const goOnAir = () => byId("stage").classList.add("on-air");
    const clip = await record(stream, CLIP_SECONDS, signal, goOnAir);
    this.#hideCamera();
    this.onClip(clip);
  }

  async #watch(signal) {
    const stream = await this.#showCamera("watching");
    const log = make("ol", { className: "log", "aria-label": "Answers so far, latest first" });
    let busy = false;
    await recordOnAndOn(stream, WATCH_SECONDS, signal, async (clip) => {
      if (busy) {
        remember(log, "skipped", "the service was still busy with the clip before");
        return;
      }
      busy = true;
      try {
        const query = { persons: "1", joints: "true" };
        const answer = await postFile("/predict", clip, { query, signal });
        remember(log, verdictOf(answer), answer.recognised ? percent(answer.actions[0].score) : "");
        await this.onAnswer(clip, answer, log);
      } catch (error) {
        if (error.name !== "AbortError") this.onTrouble(error.message);
      } finally {
        busy = false;
      }
    });
  }

  async #showCamera(view) {
    this.onStart(view);
    const stream = await openCamera(this.preview);
    byId("stage").dataset.camera = view;
    return stream;
  }

  #hideCamera() {
    const stage = byId("stage");
    closeCamera(this.preview);
    byId("countdown").hidden = true;
    delete stage.dataset.camera;
    stage.classList.remove("on-air");
    if (stage.dataset.view === "camera") stage.dataset.view = "empty";
  }
}

function press(button, isOn, words) {
  button.setAttribute("aria-pressed", String(isOn));
  button.textContent = words;
}

function remember(log, what, how) {
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  log.prepend(make("li", {},
    make("time", { textContent: time }),
    make("span", { className: "label", textContent: what }),
    make("span", { className: "quiet", textContent: how })));
  while (log.children.length > REMEMBERED) log.lastElementChild.remove();
}

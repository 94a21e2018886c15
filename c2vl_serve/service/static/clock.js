// The time that is shown: a video's, or its own where there is no video that can be played.

export class Clock {
  /** @param onTime called with seconds whenever another moment is to be shown. */
  constructor(video, onTime, onState) {
    this.video = video;
    this.onTime = onTime;
    this.onState = onState;
    this.isVideo = false;
    this.duration = 0;
    this.at = 0;
    this.since = null; // of the own time: when it was started, in milliseconds
    for (const event of ["play", "pause", "ended"]) {
      video.addEventListener(event, () => this.#stateChanged());
    }
    video.addEventListener("seeked", () => this.isVideo && onTime(video.currentTime));
  }

  get time() {
    if (this.isVideo) return this.video.currentTime;
    if (this.since === null) return this.at;
    return Math.min(this.at + (performance.now() - this.since) / 1000, this.duration);
  }

  get paused() {
    return this.isVideo ? this.video.paused || this.video.ended : this.since === null;
  }

  /** Resolves to whether the browser can play it; it then plays once, unless `loop` is set. */
  async loadVideo(url) {
    this.unload();
    const { video } = this;
    video.loop = false;
    video.src = url;
    const playable = await first(video, "loadeddata", "error");
    if (!playable || video.videoWidth === 0) {
      this.unload();
      return false;
    }
    if (!Number.isFinite(video.duration)) await measure(video);
    this.isVideo = true;
    this.duration = Number.isFinite(video.duration) ? video.duration : 0;
    return true;
  }

  /** Go without a video, for as many seconds. */
  useOwn(duration) {
    this.unload();
    this.duration = duration;
  }

  unload() {
    this.pause();
    this.isVideo = false;
    this.at = 0;
    this.duration = 0;
    if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load();
    }
  }

  toggle() {
    if (this.paused) this.play();
    else this.pause();
  }

  play() {
    if (this.isVideo) {
      // Refused where the clip was changed meanwhile, which needs no answer.
      this.video.play().catch(() => {});
      return;
    }
    if (this.at >= this.duration) this.at = 0;
    this.since = performance.now();
    this.#stateChanged();
  }

  pause() {
    if (this.isVideo) this.video.pause();
    else if (this.since !== null) {
      this.at = this.time;
      this.since = null;
      this.#stateChanged();
    }
  }

  seek(time) {
    const to = Math.min(Math.max(time, 0), this.duration);
    if (this.isVideo) this.video.currentTime = to;
    else {
      this.at = to;
      if (this.since !== null) this.since = performance.now();
    }
    this.onTime(to);
  }

  #stateChanged() {
    this.onState(this.paused);
    if (this.paused) this.onTime(this.time);
    else requestAnimationFrame(() => this.#tick());
  }

  #tick() {
    if (this.paused) return;
    this.onTime(this.time);
    if (!this.isVideo && this.time >= this.duration) {
      this.at = 0;
      this.since = performance.now(); // a skeleton goes round
    }
    requestAnimationFrame(() => this.#tick());
  }
}

function first(target, good, bad) {
  return new Promise((resolve) => {
    const settle = (isGood) => () => {
      target.removeEventListener(good, onGood);
      target.removeEventListener(bad, onBad);
      resolve(isGood);
    };
    const [onGood, onBad] = [settle(true), settle(false)];
    target.addEventListener(good, onGood);
    target.addEventListener(bad, onBad);
  });
}

// A recorder's file does not say how long it is until its end was looked for.
async function measure(video) {
  const known = first(video, "durationchange", "error");
  video.currentTime = Number.MAX_SAFE_INTEGER;
  await known;
  const back = first(video, "seeked", "error");
  video.currentTime = 0;
  await back;
}

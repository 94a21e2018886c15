// The stage: the clip with its skeletons over it, or skeletons alone, in time with the clock.

import { Clock } from "./clock.js";
import { colourOf, drawFloor, drawSkeleton, pointsInPicture, pointsInRoom, roomOf } from "./drawing.js";
import { byId } from "./elements.js";
import { frameAt } from "./pose.js";
import { count } from "./words.js";

const TURN_STEP = Math.PI / 18; // of an arrow key
const MAX_PITCH = 1.2; // radians
const FRONT = { yaw: 0.35, pitch: 0.12 };
const SHARPNESS = 2; // device pixels a CSS pixel, at most

// To a hundredth of a second: times come rounded.
function durationOf(pose) {
  return Math.round(100 * (pose.times.at(-1) + 1 / pose.fps)) / 100;
}

export class Stage {
  /** @param onTime called with seconds after each moment was drawn. */
  constructor({ onTime, onState }) {
    this.root = byId("stage");
    this.picture = byId("picture");
    this.canvas = byId("canvas");
    this.context = this.canvas.getContext("2d");
    this.persons = [];
    this.turn = { ...FRONT };
    this.room = null;
    this.clock = new Clock(byId("video"), (time) => {
      this.draw(time);
      onTime(time);
    }, onState);
    new ResizeObserver(() => this.draw(this.clock.time)).observe(this.picture);
    this.#listenForTurns();
  }

  /** Show a clip before its answer is there; resolves to whether the browser plays it. */
  async showClip(url) {
    this.persons = [];
    this.room = null;
    const plays = url !== null && await this.clock.loadVideo(url);
    if (plays) {
      const { videoWidth, videoHeight } = this.clock.video;
      this.#show("video", videoWidth / videoHeight);
    } else {
      this.#show("waiting", 16 / 9);
    }
    this.#describe();
    return plays;
  }

  /** Invite another clip, unless this one is a video that can be seen. */
  withdrawClip() {
    if (!this.clock.isVideo) this.#show("empty", 16 / 9);
  }

  /** Draw the persons of an answer from now on. */
  showAnswer(answer) {
    this.persons = answer.persons.filter((person) => person.pose);
    const poses = this.persons.map((person) => person.pose);
    const inRoom = poses.length > 0 && poses[0].space === "room";
    this.room = inRoom ? roomOf(poses) : null;
    this.turn = { ...FRONT };
    if (!this.clock.isVideo) {
      this.clock.useOwn(Math.max(0, ...poses.map(durationOf)));
      if (poses.length) this.#show(inRoom ? "room" : "alone", inRoom ? 4 / 3 : poses[0].aspect);
    }
    this.#describe();
    this.draw(this.clock.time);
  }

  get isRoom() {
    return this.room !== null;
  }

  draw(time) {
    const { canvas, context } = this;
    const scale = Math.min(devicePixelRatio, SHARPNESS);
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.clearRect(0, 0, width, height);
    if (this.room) drawFloor(context, this.room, this.turn, width, height);
    this.persons.forEach(({ pose }, position) => {
      const frame = frameAt(pose, time);
      if (!frame.length) return;
      const points = this.room
        ? pointsInRoom(pose, frame, this.room, this.turn, width, height)
        : pointsInPicture(pose, frame, width, height);
      drawSkeleton(context, pose, points, colourOf(position));
    });
  }

  #show(view, aspect) {
    this.root.dataset.view = view;
    this.picture.style.setProperty("--aspect", String(aspect));
  }

  #describe() {
    const { canvas } = this;
    const what = this.persons.length
      ? `${count(this.persons.length, "skeleton")}${this.isRoom ? ", to be turned with the arrow keys" : ""}`
      : "No skeleton yet";
    canvas.setAttribute("aria-label", what);
    if (this.isRoom) canvas.tabIndex = 0;
    else canvas.removeAttribute("tabindex");
  }

  #turnBy(yaw, pitch) {
    this.turn.yaw += yaw;
    this.turn.pitch = Math.min(Math.max(this.turn.pitch + pitch, -MAX_PITCH), MAX_PITCH);
    this.draw(this.clock.time);
  }

  #listenForTurns() {
    const { canvas } = this;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    canvas.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!this.isRoom || !step) return;
      event.preventDefault();
      this.#turnBy(step[0] * TURN_STEP, step[1] * TURN_STEP);
    });
    canvas.addEventListener("pointerdown", (event) => {
      if (this.isRoom) canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.isRoom || !canvas.hasPointerCapture(event.pointerId)) return;
      this.#turnBy(event.movementX / 120, event.movementY / 160);
    });
  }
}

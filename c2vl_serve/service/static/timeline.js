// The timeline: a button a span, in rows. Arrow keys go from span to span, Enter seeks.

import { colourOf } from "./drawing.js";
import { byId, make } from "./elements.js";
import { rowsOf, spanAt } from "./spans.js";
import { percent, seconds } from "./words.js";

export class Timeline {
  /** @param onSeek called with the seconds that somebody chose. */
  constructor(onSeek) {
    this.root = byId("timeline");
    this.onSeek = onSeek;
    this.rows = [];
    this.buttons = [];
    this.duration = 0;
    this.root.addEventListener("keydown", (event) => this.#walk(event));
  }

  clear() {
    this.rows = [];
    this.buttons = [];
    this.root.replaceChildren();
  }

  /** Segments; each person's windows as well where somebody asked for windows. */
  show(answer, duration, withWindows = false) {
    this.clear();
    this.duration = duration;
    this.rows = rowsOf(answer, duration, withWindows);
    this.root.append(...this.rows.map((row) => this.#row(row)));
    this.#makeReachable(this.buttons[0]);
  }

  /** Mark what is being done at a time; the span of the first row then, or null. */
  mark(time) {
    const current = this.rows.map((row) => spanAt(row, time));
    for (const button of this.buttons) {
      button.classList.toggle("current", current.includes(button.span));
    }
    return current[0] ?? null;
  }

  #row(row) {
    const track = make("div", { className: "track" });
    const lanes = Math.max(1, ...row.spans.map((span) => span.lane + 1));
    track.style.setProperty("--lanes", String(lanes));
    track.append(...row.spans.map((span) => this.#button(span)));
    const name = `Person ${row.position + 1}, ${row.kind}`;
    const line = make("div", { className: "row", role: "group", "aria-label": name });
    if (this.rows.length > 1) line.append(personMark(row.position, name));
    line.append(track);
    return line;
  }

  #button(span) {
    const what = span.recognised ? span.label : "not recognised";
    const button = make("button", {
      type: "button",
      className: span.recognised ? `span hue-${span.hue}` : "span unknown",
      textContent: what,
      title: `${span.label}, ${percent(span.score)}`,
      tabIndex: -1,
      "aria-label": `${spoken(span)}, ${seconds(span.start)} to ${seconds(span.end)}`,
    });
    button.span = span;
    button.style.setProperty("--start", String(span.start / this.duration));
    button.style.setProperty("--end", String(Math.min(span.end / this.duration, 1)));
    button.style.setProperty("--lane", String(span.lane));
    button.addEventListener("click", () => {
      this.#makeReachable(button);
      this.onSeek(span.start);
    });
    this.buttons.push(button);
    return button;
  }

  // One stop for the Tab key, whichever span was last looked at.
  #makeReachable(button) {
    for (const each of this.buttons) each.tabIndex = each === button ? 0 : -1;
  }

  #walk(event) {
    const at = this.buttons.indexOf(event.target);
    const last = this.buttons.length - 1;
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const button = this.buttons[Math.min(Math.max(to, 0), last)];
    this.#makeReachable(button);
    button.focus();
  }
}

export function personMark(position, name) {
  const dot = make("span", { className: "dot", "aria-hidden": "true" });
  dot.style.setProperty("--colour", colourOf(position));
  return make("span", { className: "person-mark" }, dot, name);
}

function spoken(span) {
  const guess = `${span.label}, ${percent(span.score)}`;
  return span.recognised ? guess : `not recognised, nearest ${guess}`;
}

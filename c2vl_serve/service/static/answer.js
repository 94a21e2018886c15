// The answer in words and bars, and as the JSON that it was.

import { byId, make } from "./elements.js";
import { personMark } from "./timeline.js";
import { count, milliseconds, percent, seconds, sentence } from "./words.js";

let whole = "";

export function showAnswer(answer) {
  const people = answer.persons.map((person, position) =>
    personBlock(person, position, answer.persons.length > 1));
  byId("answer").replaceChildren(
    ...(people.length ? people : [make("p", { className: "verdict", textContent: "Nobody seen" })]),
    ...notesOf(answer),
    make("p", { className: "facts quiet", textContent: factsOf(answer) }),
  );
  byId("announcement").textContent = announcement(answer);
  showJson(answer);
}

export function clearAnswer(words) {
  byId("answer").replaceChildren(make("p", { className: "quiet", textContent: words }));
  byId("announcement").textContent = "";
  byId("raw").hidden = true;
}

/** What was done, in a few words. */
export function verdictOf({ actions, recognised }) {
  if (!actions.length) return "Nobody seen";
  return recognised ? actions[0].label : "Not recognised";
}

export function listenForCopy() {
  byId("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(whole);
    byId("copied").textContent = "Copied.";
  });
}

function personBlock(person, position, isNamed) {
  const block = make("div", { className: "person" });
  if (isNamed) block.append(make("h3", {}, personMark(position, `Person ${position + 1}`)));
  block.append(make("p", { className: "verdict", textContent: verdictOf(person) }));
  if (!person.recognised) {
    block.append(make("p", {
      className: "quiet",
      textContent: "Probably nothing that this bundle knows. The nearest it has:",
    }));
  }
  block.append(make("ol", { className: "scores", "aria-label": "Scores" },
    ...person.actions.map((action, place) => bar(action, place))));
  return block;
}

function bar({ label, score }, place) {
  const fill = make("span", { className: "fill", "aria-hidden": "true" });
  fill.style.setProperty("--score", String(score));
  return make("li", { className: place === 0 ? "best" : "" },
    make("span", { className: "label", textContent: label }),
    make("span", { className: "score", textContent: percent(score) }),
    fill);
}

function notesOf(answer) {
  const notes = answer.frames.complete
    ? answer.notes
    : ["the clip is damaged or ends early; this is about what could be read", ...answer.notes];
  if (!notes.length) return [];
  return [make("ul", { className: "notes", "aria-label": "Notes" },
    ...notes.map((note) => make("li", { textContent: sentence(note) })))];
}

function factsOf({ frames, timing_ms: timing }) {
  const used = frames.used === frames.read
    ? count(frames.read, "frame")
    : `${frames.used} of ${count(frames.read, "frame")} used`;
  const rate = frames.fps ? `, ${seconds(frames.read / frames.fps)}` : "";
  const poses = timing.pose ? `, ${milliseconds(timing.pose)} of it for poses` : "";
  return `${used}${rate}. Answered in ${milliseconds(timing.total)}${poses}.`;
}

function announcement(answer) {
  if (!answer.actions.length) return "Answer: nobody was seen.";
  const [best] = answer.actions;
  const others = answer.persons.length > 1 ? `, of the clearest of ${answer.persons.length} persons` : "";
  return answer.recognised
    ? `Answer: ${best.label}, ${percent(best.score)}${others}.`
    : `Answer: not recognised; nearest is ${best.label}, ${percent(best.score)}${others}.`;
}

// Poses are thousands of numbers: shown as a count, copied whole.
function showJson(answer) {
  whole = JSON.stringify(answer);
  const short = (key, value) => {
    if (key === "frames" && Array.isArray(value)) return `… ${count(value.length, "frame")}`;
    if (key === "times" || key === "edges" || key === "joints") return `… ${value.length} of them`;
    return value;
  };
  byId("json").textContent = JSON.stringify(answer, short, 2);
  byId("copied").textContent = "";
  byId("raw").hidden = false;
}

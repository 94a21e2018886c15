// The page: a clip comes in, is shown, is asked about; its answer is shown in all its forms.

import { clearAnswer, listenForCopy, showAnswer } from "./answer.js";
import { byId } from "./elements.js";
import { Gallery } from "./gallery.js";
import { listenForKeys } from "./key.js";
import { Webcam } from "./live.js";
import { areOptionsValid, chosenQuery, listenForLayouts } from "./options.js";
import { Stage } from "./stage.js";
import { watchStatus } from "./status.js";
import { Timeline } from "./timeline.js";
import { percent, seconds } from "./words.js";
import { cancel, predict } from "./work.js";

const SKELETON_FILE = /\.(json|npy|npz|skeleton|csv|txt)$/i;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let clip = null; // the file that is shown
let url = null; // of it, for the video element

const stage = new Stage({ onTime: showTime, onState: showPlaying });
const timeline = new Timeline((time) => stage.clock.seek(time));
const gallery = new Gallery(() => clip && { file: clip, query: readingQuery() });
const webcam = new Webcam({
  onStart: startCamera,
  onClip: open,
  onAnswer: showWatched,
  onTrouble: showError,
});

async function open(file) {
  if (!areOptionsValid()) return;
  webcam.stop();
  clearAnswer("Looking at it …");
  const shown = showFile(file);
  try {
    const query = chosenQuery();
    const [answer] = await Promise.all([predict(file, query), shown]);
    if (clip !== file) return;
    if (answer === null) withdraw("Cancelled.");
    else present(answer, "window" in query || "stride" in query);
  } catch (error) {
    await shown; // else it would come back to the stage
    if (clip !== file) return;
    withdraw("There is no answer to this one.");
    showError(error.message);
  }
}

/** A clip without an answer is nothing to play or to enrol. */
function withdraw(words) {
  clip = null;
  gallery.clipChanged();
  stage.withdrawClip();
  clearAnswer(words);
}

/** Show a file on the stage, without an answer yet. */
async function showFile(file) {
  clip = file;
  gallery.clipChanged();
  showError("");
  timeline.clear();
  byId("player").hidden = true;
  byId("turn-hint").hidden = true;
  byId("caption").hidden = true;
  const isSkeleton = SKELETON_FILE.test(file.name);
  if (url) URL.revokeObjectURL(url);
  url = isSkeleton ? null : URL.createObjectURL(file);
  await stage.showClip(url);
}

function present(answer, withWindows = false) {
  stage.showAnswer(answer);
  showAnswer(answer);
  const duration = durationOf(answer);
  timeline.show(answer, duration, withWindows);
  byId("position").max = String(duration);
  byId("position").step = "0.1";
  byId("player").hidden = duration === 0;
  byId("turn-hint").hidden = !stage.isRoom;
  showTime(stage.clock.time);
  if (!calm.matches) stage.clock.play();
}

async function showWatched(file, answer, log) {
  await showFile(file);
  present(answer);
  stage.clock.video.loop = true;
  byId("answer").append(log);
}

function startCamera(view) {
  cancel();
  clip = null;
  gallery.clipChanged();
  showError("");
  stage.clock.pause();
  if (view === "watching") clearAnswer("The first answer comes in a few seconds. Step back, so that your whole body is seen.");
  byId("stage").dataset.view = "camera";
  byId("player").hidden = true;
  byId("caption").hidden = true;
}

function durationOf(answer) {
  const ends = answer.persons.flatMap((person) => person.windows.map((span) => span.end));
  return stage.clock.duration || Math.max(0, ...ends);
}

/** What reading a skeleton needs to know; the rest of the query is about the answer. */
function readingQuery() {
  const { layout, fps } = chosenQuery();
  return { ...(layout && { layout }), ...(fps && { fps }) };
}

function showTime(time) {
  const position = byId("position");
  position.value = String(time);
  position.setAttribute("aria-valuetext", seconds(time));
  byId("time").textContent = seconds(time);
  const span = timeline.mark(time);
  const caption = byId("caption");
  caption.hidden = span === null;
  if (span) caption.textContent = span.recognised ? `${span.label} · ${percent(span.score)}` : "not recognised";
}

function showPlaying(isPaused) {
  byId("play").setAttribute("aria-label", isPaused ? "Play" : "Pause");
  byId("play").classList.toggle("playing", !isPaused);
}

function showError(words) {
  byId("error").textContent = words;
  byId("error").hidden = !words;
}

function listenForFiles() {
  const input = byId("file");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files.length) open(input.files[0]);
    input.value = "";
  });
  for (const event of ["dragenter", "dragover"]) addEventListener(event, (e) => showDrag(e, true));
  for (const event of ["dragleave", "drop"]) addEventListener(event, (e) => showDrag(e, false));
  addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  });
  byId("example").addEventListener("click", async () => {
    const example = await fetch("/static/wave.json");
    open(new File([await example.blob()], "wave.json"));
  });
}

function showDrag(event, isOver) {
  event.preventDefault();
  byId("stage").classList.toggle("over", isOver);
}

function listenForPlayer() {
  byId("play").addEventListener("click", () => stage.clock.toggle());
  byId("position").addEventListener("input", (event) => stage.clock.seek(event.target.valueAsNumber));
  byId("cancel").addEventListener("click", cancel);
}

listenForKeys();
listenForFiles();
listenForPlayer();
listenForLayouts();
listenForCopy();
watchStatus();
gallery.refresh();

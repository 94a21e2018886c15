// What is served, by what, and whether it is ready.

import { fetchJson } from "./api.js";
import { byId } from "./elements.js";

const SOON = 3000; // milliseconds, while not ready
const LATER = 30_000;

/** Ask now and then, for as long as the page is open. */
export async function watchStatus() {
  const isReady = await askOnce();
  setTimeout(watchStatus, isReady ? LATER : SOON);
}

async function askOnce() {
  try {
    await fetchJson("/health/ready");
    if (!byId("bundle").textContent) await showBundle();
    show("ready", "ready");
    return true;
  } catch (error) {
    if (error.status === 401) show("locked", "wants an API key");
    else show("away", error.status === 503 ? "not ready" : "away", error.message);
    return false;
  }
}

async function showBundle() {
  const card = await fetchJson("/bundle");
  byId("bundle").textContent = `${card.name} ${card.version}`;
  byId("bundle").title = card.description ?? "";
  byId("runtime").textContent = card.runtime.replace("ExecutionProvider", "").replace("/", ", ");
}

function show(state, words, title = "") {
  const status = byId("status");
  status.dataset.state = state;
  status.title = title;
  if (byId("state").textContent !== words) byId("state").textContent = words;
}

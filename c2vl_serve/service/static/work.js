// One request at a time, with its progress and a way to cancel it.

import { postFile } from "./api.js";
import { byId } from "./elements.js";

let controller = null;

/** The answer to a clip; null where it was cancelled. */
export async function predict(file, query) {
  cancel();
  const mine = new AbortController();
  controller = mine;
  showProgress(0);
  byId("work").hidden = false;
  try {
    return await postFile("/predict", file, {
      query: { ...query, joints: "true" },
      signal: mine.signal,
      onSent: showProgress,
    });
  } catch (error) {
    if (error.name === "AbortError") return null;
    throw error;
  } finally {
    // Another clip may have taken the place already.
    if (controller === mine) {
      controller = null;
      byId("work").hidden = true;
    }
  }
}

export function cancel() {
  controller?.abort();
}

function showProgress(sent) {
  const progress = byId("progress");
  const isSent = sent >= 1;
  byId("stage-of-work").textContent = isSent ? "Looking at every frame" : "Sending";
  if (isSent) progress.removeAttribute("value");
  else progress.value = sent;
}

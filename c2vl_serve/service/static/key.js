// The dialog that asks for an API key where the service wants one.

import { apiKey, Refusal, whenKeyIsWanted } from "./api.js";
import { byId } from "./elements.js";

/** Several requests may want a key at once: all wait for the same dialog. */
let asking = null;

export function listenForKeys() {
  whenKeyIsWanted((detail) => {
    asking ??= ask(detail).finally(() => { asking = null; });
    return asking;
  });
}

function ask(detail) {
  const dialog = byId("key-dialog");
  const field = byId("key");
  byId("key-detail").textContent = apiKey.get()
    ? "The service does not know this key. Try another."
    : "This service answers only those who have a key.";
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve, reject) => {
    byId("key-form").onsubmit = () => {
      apiKey.set(field.value.trim());
      resolve();
    };
    byId("key-cancel").onclick = () => dialog.close();
    // Closing comes after submitting, when the promise is settled already.
    dialog.onclose = () => reject(new Refusal(401, detail));
  });
}

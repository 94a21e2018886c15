// Requests to this service. Every failure becomes a Refusal whose message is a sentence.

import { sentence } from "./words.js";

const KEY = "c2vl-api-key";

export class Refusal extends Error {
  constructor(status, detail) {
    super(sentence(detail));
    this.status = status;
  }
}

export const apiKey = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (key) => sessionStorage.setItem(KEY, key),
};

/** Settled by whoever shows the page: resolves once there is another key to try. */
let askForKey = (detail) => Promise.reject(new Refusal(401, detail));

export function whenKeyIsWanted(ask) {
  askForKey = ask;
}

/** The JSON at a path; null where the answer has no body. */
export function fetchJson(path, { method = "GET", signal } = {}) {
  return withKey(async (key) => {
    const headers = key ? { "X-API-Key": key } : {};
    const response = await fetch(path, { method, signal, headers }).catch((error) => {
      throw error.name === "AbortError" ? error : unreachable();
    });
    return parsed(response.status, await response.text());
  });
}

let description = null;

/** The service's OpenAPI description, asked for once. */
export function describedApi() {
  description ??= fetchJson("/openapi.json").catch((error) => {
    description = null;
    throw error;
  });
  return description;
}

/** Post a file; `onSent` is told the part of it that has been sent, 0 to 1. */
export function postFile(path, file, { query = {}, signal, onSent = () => {} } = {}) {
  const address = `${path}?${new URLSearchParams(query)}`;
  return withKey((key) => upload(address, file, key, signal, onSent));
}

async function withKey(request) {
  for (;;) {
    const key = apiKey.get();
    try {
      return await request(key);
    } catch (error) {
      if (error.status !== 401) throw error;
      // Another request may have been given a key meanwhile.
      if (apiKey.get() === key) await askForKey(error.message);
    }
  }
}

// XMLHttpRequest, because fetch does not tell how much of a body has been sent.
function upload(address, file, key, signal, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", address);
    if (key) request.setRequestHeader("X-API-Key", key);
    request.upload.onprogress = (event) => onSent(event.loaded / event.total);
    request.upload.onload = () => onSent(1);
    request.onload = () => {
      try {
        resolve(parsed(request.status, request.responseText));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    if (signal?.aborted) {
      request.onabort();
      return;
    }
    signal?.addEventListener("abort", abort);
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

function parsed(status, text) {
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    throw new Refusal(status, `the answer (status ${status}) is not JSON`);
  }
  if (status >= 400) throw new Refusal(status, body?.detail ?? `the service answered ${status}`);
  return body;
}

function unreachable() {
  return new Refusal(0, "the service cannot be reached; is it still running?");
}

// The query that goes with a clip, from the fields that are filled in.

import { describedApi } from "./api.js";
import { byId, make } from "./elements.js";

export function chosenQuery() {
  const fields = new FormData(byId("options"));
  return Object.fromEntries([...fields].filter(([, value]) => value !== ""));
}

export function areOptionsValid() {
  return byId("options").reportValidity();
}

/** The layouts come from the service's own description, once somebody looks. */
export function listenForLayouts() {
  const select = byId("layout");
  select.closest("details").addEventListener("toggle", async () => {
    const api = await describedApi();
    const body = api.paths["/predict"].post.requestBody.content["application/json"].schema;
    const names = body.properties.layout.oneOf.find((kind) => kind.enum).enum;
    select.append(...names.map((name) => make("option", { value: name, textContent: name })));
  }, { once: true });
}

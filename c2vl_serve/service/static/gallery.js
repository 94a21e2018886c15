// The gallery: actions enrolled by example. Hidden where the service keeps none.

import { describedApi, fetchJson, postFile } from "./api.js";
import { byId, make } from "./elements.js";
import { count, sentence } from "./words.js";

const PATH = "/gallery/actions";

export class Gallery {
  /** @param currentClip gives the clip to enrol and its query, or null. */
  constructor(currentClip) {
    this.currentClip = currentClip;
    this.list = byId("enrolled");
    byId("enrol").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enrol(byId("enrol-name").value.trim());
    });
  }

  async refresh() {
    try {
      // A service without a gallery does not describe one; asking anyway would log an error.
      if (!(PATH in (await describedApi()).paths)) return;
      const answer = await fetchJson(PATH);
      this.#show(Array.isArray(answer) ? answer : answer.actions);
      byId("gallery").hidden = false;
    } catch (error) {
      byId("gallery").hidden = error.status === 404;
      if (error.status !== 404) this.#say(error.message, true);
    }
  }

  clipChanged() {
    byId("enrol-clip").disabled = this.currentClip() === null;
  }

  async #enrol(name) {
    const clip = this.currentClip();
    if (!clip || !name) return;
    const button = byId("enrol-clip");
    button.disabled = true;
    this.#say(`Enrolling “${name}” …`);
    try {
      const path = `${PATH}/${encodeURIComponent(name)}`;
      const { num_examples: examples, notes } = await postFile(path, clip.file, { query: clip.query });
      await this.refresh();
      byId("enrol-name").value = "";
      this.#say([`“${name}” has ${count(examples, "example")} now.`, ...notes.map(sentence)].join(" "));
    } catch (error) {
      this.#say(error.message, true);
    }
    this.clipChanged();
  }

  async #remove(name) {
    try {
      await fetchJson(`${PATH}/${encodeURIComponent(name)}`, { method: "DELETE" });
      await this.refresh();
      this.#say(`“${name}” is forgotten.`);
      byId("enrol-name").focus();
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  #show(actions) {
    this.list.replaceChildren(...actions.map((action) => this.#item(action)));
    if (!actions.length) {
      this.list.append(make("li", { className: "quiet", textContent: "Nothing enrolled yet." }));
    }
  }

  #item({ name, num_examples: examples }) {
    const remove = make("button", {
      type: "button",
      className: "plain",
      textContent: "Remove",
      "aria-label": `Remove ${name}`,
    });
    remove.addEventListener("click", () => this.#remove(name));
    return make("li", {},
      make("span", { className: "label", textContent: name }),
      make("span", { className: "quiet", textContent: count(examples, "example") }),
      remove);
  }

  #say(words, isError = false) {
    const news = byId("gallery-news");
    news.textContent = words;
    news.classList.toggle("failed", isError);
  }
}

// Parts of a page that are fetched after it and again when something has changed: elements with the address in
// `data-part`, the events that change them in `data-on`, and the least milliseconds between two fetches in `data-every`.

import { answer } from "./api.js";
import { notice } from "./notice.js";

const EVERY = 1000;
const parts = new Map();
// Plotly is large, and comes after everything else.
const scripts = document.readyState === "complete"
  ? Promise.resolve()
  : new Promise((loaded) => addEventListener("DOMContentLoaded", loaded));

class Part {
  constructor(element) {
    this.element = element;
    this.events = new Set((element.dataset.on ?? "").split(" "));
    this.every = Number(element.dataset.every ?? EVERY);
    this.stale = true;
    this.seen = false; // on the screen, or near it
    this.last = -Infinity; // when it was fetched last
    this.html = null;
    this.busy = false;
  }

  /** Something has changed: it is fetched as soon as it is seen, and not too often. */
  change() {
    this.stale = true;
    this.look();
  }

  look() {
    if (!this.stale || !this.seen || this.busy || document.hidden) return;
    this.busy = true;
    setTimeout(() => this.fetch(), Math.max(0, this.last + this.every - performance.now()));
  }

  async fetch() {
    this.stale = false;
    this.element.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(this.element.dataset.part);
      this.replace(await answer(response, (given) => given.text()));
      const stale = Number(response.headers.get("HP-Stale") ?? 0); // seconds until there is a newer one
      if (stale) setTimeout(() => this.change(), 1000 * stale);
      notice(this, "");
    } catch (error) {
      this.stale = true;
      if (error.status === undefined) {
        setTimeout(() => this.look(), 3000); // the connection: events say so
      } else if (this.html === null && !("loaded" in this.element.dataset)) {
        this.element.textContent = error.message;
      } else {
        notice(this, error.message);
      }
    } finally {
      this.last = performance.now();
      this.busy = false;
      this.element.removeAttribute("aria-busy");
      this.look();
    }
  }

  /** Puts in new HTML; figures change to their new data, and what the reader has opened or is at stays so. */
  replace(html) {
    if (html === this.html) return;
    this.html = html;
    const { element } = this;
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    const key = (details) => details.querySelector("summary")?.textContent;
    const open = new Set([...element.querySelectorAll("details[open]")].map(key));
    fresh.content.querySelectorAll("details").forEach((details) => { details.open ||= open.has(key(details)); });
    for (const figure of fresh.content.querySelectorAll("figure[id]")) {
      const plotted = element.querySelector(`#${CSS.escape(figure.id)} .js-plotly-plot`);
      if (!plotted) continue;
      plotted.setAttribute("aria-label", figure.querySelector(".plot").getAttribute("aria-label"));
      figure.querySelector(".plot").replaceWith(plotted);
    }
    const at = element.contains(document.activeElement) ? document.activeElement.id : "";
    const log = element.querySelector(".log"), place = log?.scrollTop;
    const atEnd = !log || log.scrollHeight - place - log.clientHeight < 8;
    element.replaceChildren(fresh.content);
    for (const one of element.querySelectorAll(".log")) one.scrollTop = atEnd ? one.scrollHeight : place;
    if (at) document.getElementById(at)?.focus({ preventScroll: true });
    if (element.querySelector("figure")) scripts.then(() => plotFigures(element));
    element.dispatchEvent(new CustomEvent("part", { bubbles: true }));
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const part = parts.get(entry.target);
    part.seen = entry.isIntersecting;
    part.look();
  }
}, { rootMargin: "400px" });

/** Begins to care for the parts below an element. */
export function watchParts(root = document) {
  for (const element of root.querySelectorAll("[data-part]")) {
    if (parts.has(element)) continue;
    parts.set(element, new Part(element));
    seen.observe(element);
  }
}

/** Fetches the parts again that an event changes, or all of them. */
export function changed(event = null) {
  for (const part of parts.values()) if (event === null || part.events.has(event)) part.change();
}

/** Fetches one part again, whose address may be another one now. */
export const refetch = (element) => parts.get(element)?.change();

// A link in a part to another one that takes its place.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-fetch]");
  const element = link?.closest("[data-part]");
  if (!element) return;
  event.preventDefault();
  element.dataset.part = link.dataset.fetch;
  refetch(element);
});

document.addEventListener("visibilitychange", () => parts.forEach((part) => part.look()));

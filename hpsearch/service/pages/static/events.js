// What happens on the server, as it happens; and words on the page while the connection is lost.

import { LOST, base, request } from "./api.js";
import { notice } from "./notice.js";
import { changed } from "./parts.js";

const NAMES = ["stage", "trial", "epoch", "job", "log"];
const AGAIN = 3000; // ms until the next try

/**
 * Listens to a search's events, or without one to the stages and jobs of all, whose parts are fetched again.
 * The promise is kept once nothing that happens is missed any more.
 */
export function listen(search) {
  const source = new EventSource(`${base}/api/v1/events${search ? `?search=${encodeURIComponent(search)}` : ""}`);
  let lost = null; // the timer of the words about it
  for (const name of NAMES) {
    source.addEventListener(name, () => changed(name));
  }
  source.onopen = () => {
    clearTimeout(lost);
    lost = null;
    notice("connection", "");
    for (const alert of document.querySelectorAll('[role="alert"]')) alert.hidden ||= alert.textContent === LOST;
  };
  source.onerror = async () => {
    lost ??= setTimeout(() => notice("connection", "Connection lost: trying again. What you see may be old."), AGAIN);
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    clearTimeout(lost);
    const problem = await request("session").then(() => null, (error) => error);
    if (problem?.status === 401) {
      notice("connection", "You are no longer logged in: reload the page.");
    } else {
      notice("connection", "Connection lost: trying again. What you see may be old.");
      setTimeout(() => listen(search), AGAIN);
    }
  };
  // A page that is left must not look as if the connection were lost.
  addEventListener("pagehide", () => { source.onerror = null; source.close(); });
  return new Promise((ready) => source.addEventListener("reset", () => {
    changed();
    ready();
  }));
}

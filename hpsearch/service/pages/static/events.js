// What happens on the server, as it happens; and words on the page while the connection is lost.

import { base, request } from "./api.js";
import { notice } from "./notice.js";
import { changed } from "./parts.js";

const NAMES = ["stage", "trial", "epoch", "job", "log"];
const AGAIN = 3000; // ms until the next try

/** Listens to a search's events, or without one to those of all jobs. Each is also an event of the document: `hp:trial`. */
export function listen(search) {
  const source = new EventSource(`${base}/api/v1/events${search ? `?search=${encodeURIComponent(search)}` : ""}`);
  let lost = false;
  for (const name of NAMES) {
    source.addEventListener(name, (event) => {
      changed(name);
      document.dispatchEvent(new CustomEvent(`hp:${name}`, { detail: JSON.parse(event.data) }));
    });
  }
  source.addEventListener("reset", () => changed());
  source.onopen = () => {
    notice("connection", "");
    if (lost) changed();
    lost = false;
  };
  source.onerror = async () => {
    lost = true;
    notice("connection", "Connection lost: trying again. What you see may be old.");
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    const problem = await request("session").then(() => null, (error) => error);
    if (problem?.status === 401) {
      notice("connection", "You are no longer logged in: reload the page.");
    } else {
      setTimeout(() => listen(search), AGAIN);
    }
  };
  // A page that is left must not look as if the connection were lost.
  addEventListener("pagehide", () => { source.onerror = null; source.close(); });
}

// What every page does: it cares for its parts, listens to events, filters rows, and says who is logged in.

import { base, request } from "./api.js";
import { listen } from "./events.js";
import { notice } from "./notice.js";
import { watchParts } from "./parts.js";

// First the events, then the parts: what happens in between is not missed.
const listening = document.querySelector("[data-on]") ? listen(document.body.dataset.search ?? "") : null;
Promise.race([listening, new Promise((late) => setTimeout(late, 300))]).then(() => watchParts());
// From the browser's memory a page comes back as it was.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

const filter = document.getElementById("filter");
if (filter) {
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(filter.dataset.rows)) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
    }
  };
  filter.addEventListener("input", apply);
  document.addEventListener("part", apply);
  apply(); // a browser that goes back fills it in again
}

const logout = document.getElementById("logout");
if (logout) {
  logout.addEventListener("click", async () => {
    try {
      await request("session", { method: "DELETE" });
      location.href = `${base}/login`;
    } catch (error) {
      notice("logout", error.message, 5000, "bad");
    }
  });
}

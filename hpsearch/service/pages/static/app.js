// What every page does: it cares for its parts, listens to events, filters rows, and says who is logged in.

import { base, request } from "./api.js";
import { listen } from "./events.js";
import { notice } from "./notice.js";
import { watchParts } from "./parts.js";

watchParts();
if (document.querySelector("[data-on]")) listen(document.body.dataset.search ?? "");

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
  request("session").then(({ name, role }) => {
    document.getElementById("who").textContent = `${name} (${role})`;
    logout.hidden = false;
  }, () => {});
  logout.addEventListener("click", async () => {
    try {
      await request("session", { method: "DELETE" });
      location.href = `${base}/login`;
    } catch (error) {
      notice("logout", error.message, 5000);
    }
  });
}

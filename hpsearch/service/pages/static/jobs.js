// Buttons that stop a job.

import { request } from "./api.js";
import { notice } from "./notice.js";
import { changed } from "./parts.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-cancel]");
  if (!button) return;
  button.disabled = true;
  const { cancel } = button.dataset;
  try {
    const job = await request(`jobs/${cancel}/cancel`, { method: "POST" });
    notice("jobs", job.state === "running" ? `Job ${cancel} records what is finished, and stops.` : `Job ${cancel} is stopped.`, 6000);
    changed("job");
  } catch (error) {
    button.disabled = false;
    notice("jobs", error.message);
  }
});

// Buttons that stop a job, or do anew what is left of one.

import { base, request } from "./api.js";
import { notice } from "./notice.js";
import { changed } from "./parts.js";

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-again]");
  if (!button) return;
  button.disabled = true;
  try {
    const job = await request("jobs", { method: "POST", body: { actions: JSON.parse(button.dataset.again) } });
    if (location.pathname.startsWith(`${base}/jobs/`)) location.href = `${base}/jobs/${job.id}`;
    notice("jobs", `Job ${job.id} is ${job.state}.`, 6000);
    changed("job");
  } catch (error) {
    button.disabled = false;
    notice("jobs", error.message, 8000, "bad");
  }
});

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

// From the form of a new search: its page, once there is one.
document.addEventListener("part", () => {
  const link = document.querySelector("[data-watch]");
  if (link && location.hash === "#watch") location.replace(link.href);
});

// Buttons of actions: each opens the dialog of its kind, filled in; what the dialog says becomes a job.

import { LOST, request } from "./api.js";
import { notice } from "./notice.js";
import { changed, refetch } from "./parts.js";

const search = document.body.dataset.search;
const path = `searches/${encodeURIComponent(search)}`;
const preview = document.getElementById("preview");

/** The arguments that a form says: an empty field, a box that is not ticked and a default that is chosen say none. */
export const argumentsOf = (form) => Object.fromEntries(
  [...form.elements]
    .filter((field) => field.name && (field.type === "checkbox" ? field.checked : field.value !== ""))
    .map((field) => [field.name, field.type === "checkbox" || (field.type === "number" ? field.valueAsNumber : field.value)]),
);

const say = (form, text) => {
  const line = form.querySelector('[role="alert"]');
  line.textContent = text;
  line.hidden = !text;
};

/** Opens the dialog of an action; arguments that it has no field for are kept, and said. */
function open({ kind, arguments: given = {} }) {
  const dialog = document.getElementById(`do-${kind}`), form = dialog.querySelector("form");
  form.reset();
  say(form, "");
  const rest = {};
  for (const [name, value] of Object.entries(given)) {
    const field = form.elements[name];
    if (!field) rest[name] = value;
    else if (field.type === "checkbox") field.checked = value;
    else field.value = value;
  }
  if (kind === "start") {
    const { next, count } = document.querySelector("[data-next]")?.dataset ?? {};
    document.getElementById("start-about").textContent = rest.stage ? "" : next ?? "";
    form.elements.trials.placeholder = count ? `${count}, as in the study file` : "as in the study file";
  }
  form.dataset.given = JSON.stringify(rest);
  const words = Object.entries(rest).filter(([name]) => name !== "search").map(([name, value]) => (value === true ? name : `${name} ${value}`));
  const about = form.querySelector("[data-rest]");
  about.textContent = words.join(", ");
  about.hidden = !words.length;
  // Sent twice, as by a second click or after a lost connection, it is still one job.
  form.dataset.key = "";
  dialog.showModal();
  if (kind === "narrow") look(form);
}

const actionOf = (form) => ({ search, ...JSON.parse(form.dataset.given), ...argumentsOf(form) });

/** Fetches the preview of what the narrowing's form says. */
function look(form) {
  const { search: _, then: __, ...given } = actionOf(form);
  preview.dataset.part = `${preview.dataset.part.split("?")[0]}?${new URLSearchParams(given)}`;
  refetch(preview);
}

/** Does what a form says: a narrowing at once, all else as a job. */
async function send(form) {
  const { kind } = form.dataset, { then, ...given } = actionOf(form);
  if (kind === "narrow" && !then) {
    const { search: _, ...options } = given;
    const { stage } = await request(`${path}/narrow`, { method: "POST", body: options });
    return `${stage} is made; it has no trial yet.`;
  }
  const actions = [{ kind, arguments: given }];
  if (then) actions.push({ kind: "start", arguments: { search, trials: then } });
  form.dataset.key ||= crypto.getRandomValues(new Uint32Array(4)).join("-");
  const job = await request("jobs", { method: "POST", body: { actions }, key: form.dataset.key });
  return `Job ${job.id} is ${job.state}.`;
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-kind]");
  if (!form) return;
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const text = await send(form);
    form.closest("dialog").close();
    notice("steps", text, 8000);
    changed();
  } catch (error) {
    // What was refused is asked anew when it is changed; after a lost connection it may have arrived.
    if (error.status !== undefined) form.dataset.key = "";
    say(form, error.status === undefined ? LOST : error.message);
  } finally {
    button.disabled = false;
  }
});

document.addEventListener("input", (event) => {
  const form = event.target.closest('form[data-kind="narrow"]');
  if (form) look(form);
});

const at = (event, name) => event.target.closest(`[data-${name}]`);

document.addEventListener("click", async (event) => {
  const action = at(event, "action"), plot = at(event, "plot"), stop = at(event, "stop");
  if (at(event, "close")) at(event, "close").closest("dialog").close();
  if (action) open(JSON.parse(action.dataset.action));
  if (plot) {
    const dialog = document.getElementById("plot"), part = dialog.querySelector("[data-part]");
    part.dataset.part = plot.dataset.plot;
    dialog.showModal();
    refetch(part);
  }
  if (!stop) return;
  try {
    await request(`${path}/stop`, { method: "POST" });
    notice("steps", "All runs of this search are asked to stop.", 8000);
    changed();
  } catch (error) {
    notice("steps", error.message, 8000, "bad");
  }
});

// A link from another page to an action.
if (location.hash.startsWith("#do=")) {
  open(JSON.parse(decodeURIComponent(location.hash.slice(4))));
  history.replaceState(null, "", location.pathname);
}

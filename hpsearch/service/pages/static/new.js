// The forms of a new search: one starts a study file as it is, the other makes a new one first.

import { LOST, base, request } from "./api.js";

const READ = {
  flag: (field) => field.checked,
  number: (field) => Number(field.value),
  text: (field) => field.value,
  any: (field) => typed(field.value),
  list: (field) => (/^[\d\s,]+$/.test(field.value) ? listed(field.value) : field.value),
};
const WORDS = { true: true, false: false };

/** A value as it is typed: a number, true or false, or a text. */
const typed = (text) => WORDS[text] ?? (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
const listed = (text) => text.split(",").map((part) => part.trim()).filter(Boolean).map(typed);

/** The sections of the study file; what is left empty is left out. */
function sectionsOf(form) {
  const study = {};
  for (const field of form.querySelectorAll("[data-type]")) {
    const [section, key] = field.name.split(".");
    if (field.dataset.type === "flag" || field.value !== "") (study[section] ??= {})[key] = READ[field.dataset.type](field);
  }
  return study;
}

/** The ranges; what the form has no field for, such as a limit, stays as it was while the range's kind is the same. */
function spaceOf(form) {
  const space = {};
  for (const row of form.querySelectorAll("[data-parameter]")) {
    const mode = row.querySelector("[data-mode]").value, before = JSON.parse(row.dataset.range);
    if (!mode) continue;
    const same = mode === ("choices" in before ? "choices" : "range") ? before : {};
    const field = (key) => row.querySelector(`[data-key="${key}"]`);
    space[row.dataset.parameter] = mode === "choices"
      ? { ...same, choices: numeric(row) ? listed(field("choices").value) : texts(field("choices").value) }
      : { ...same, low: field("low").valueAsNumber, high: field("high").valueAsNumber, log: field("log").checked };
  }
  return space;
}

// Choices of a parameter that has a range, too, are numbers; others are names, or true and false.
const numeric = (row) => row.querySelector('[data-mode] [value="range"]') !== null;
const texts = (text) => text.split(",").map((part) => part.trim()).filter(Boolean).map((part) => WORDS[part] ?? part);

async function start(form, actions) {
  const button = form.querySelector("button[type=submit]"), line = form.querySelector('[role="alert"]');
  button.disabled = true;
  line.hidden = true;
  try {
    const job = await actions();
    location.href = `${base}/jobs/${job.id}#watch`; // which leads to the search once it has begun
  } catch (error) {
    line.textContent = error.status === undefined ? LOST : error.message;
    line.hidden = false;
    line.scrollIntoView({ block: "center" });
    button.disabled = false;
  }
}

const job = (search, given = {}) => request("jobs", { method: "POST", body: { actions: [{ kind: "start", arguments: { search, ...given } }] } });

document.getElementById("start")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const given = Object.fromEntries([...form.elements].filter((field) => field.name && field.value !== "").map((field) => [field.name, field.type === "number" ? field.valueAsNumber : field.value]));
  start(form, () => job(form.dataset.search, given));
});

document.getElementById("study")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target, name = form.elements.name.value;
  start(form, async () => {
    await request("study-files", { method: "POST", body: { name, study: { ...sectionsOf(form), space: spaceOf(form) } } });
    return job(name);
  });
});

for (const select of document.querySelectorAll("[data-mode]")) {
  select.addEventListener("change", () => {
    for (const part of select.closest("tr").querySelectorAll("[data-of]")) part.hidden = part.dataset.of !== select.value;
  });
}

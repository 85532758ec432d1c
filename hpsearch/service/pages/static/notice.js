// The line above the page that says what is going on.

const line = document.getElementById("notice");
const notices = new Map(); // by what it is about

const show = () => {
  const { text, kind } = [...notices.values()].at(-1) ?? { text: "" };
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("good", kind === "good");
  line.hidden = !text;
};

/** Says something about a subject until it is taken back, by an empty text, or after so many milliseconds: then good news, unless `kind` is another. */
export function notice(subject, text, lasts = 0, kind = lasts ? "good" : "bad") {
  const one = { text, kind };
  notices.delete(subject);
  if (text) notices.set(subject, one);
  show();
  if (text && lasts) setTimeout(() => notices.get(subject) === one && notice(subject, ""), lasts);
}

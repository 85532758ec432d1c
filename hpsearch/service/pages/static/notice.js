// The line above the page that says what is going on.

const line = document.getElementById("notice");
const said = new Map(); // by what it is about

const show = () => {
  const texts = [...said.values()];
  if (line.textContent !== texts.at(-1)) line.textContent = texts.at(-1) ?? "";
  line.hidden = !texts.length;
};

/** Says something about a subject until it is taken back, by an empty text, or after so many milliseconds. */
export function notice(subject, text, lasts = 0) {
  said.delete(subject);
  if (text) said.set(subject, text);
  show();
  if (text && lasts) setTimeout(() => said.get(subject) === text && notice(subject, ""), lasts);
}

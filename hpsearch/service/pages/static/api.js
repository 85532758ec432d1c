// Requests to the server's API, from the page's own scripts.

export const base = document.body.dataset.base;

/** What a form says while there is no answer; it goes once the connection is back. */
export const LOST = "The server does not answer; try again.";

/** An answer that says no: `status`, and `message` as the server words it. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Asks the API (`path` is relative to /hp/api/v1/) and returns its JSON. A job with a key, sent twice, is one job. */
export async function request(path, { method = "GET", body, key } = {}) {
  const headers = { Accept: "application/json" };
  if (key) headers["Idempotency-Key"] = key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(`${base}/api/v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return answer(response, (given) => (given.status === 204 ? null : given.json()));
}

/** Returns what an answer holds; a `Refused` for one that says no. */
export async function answer(response, read) {
  if (response.ok) return read(response);
  const problem = await response.json().catch(() => ({}));
  const detail = typeof problem.detail === "string" ? problem.detail : `the server answered ${response.status}`;
  throw new Refused(response.status, detail);
}

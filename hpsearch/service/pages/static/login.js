// The login page: a token becomes a session.

import { base, request } from "./api.js";
import { notice } from "./notice.js";

const goOn = () => {
  const next = new URL(new URLSearchParams(location.search).get("next") ?? `${base}/`, location.href);
  location.replace(next.origin === location.origin ? next.href : `${base}/`);
};

// With a link that is followed from elsewhere the browser does not send the session along; from here it does.
if (document.referrer && new URL(document.referrer).origin !== location.origin) goOn();

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = document.getElementById("token");
  try {
    await request("session", { method: "POST", body: { token: token.value.trim() } });
    goOn();
  } catch (error) {
    token.value = "";
    token.focus();
    notice("login", error.message);
  }
});

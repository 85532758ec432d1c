"""A headless Chromium whose pages tests open, click and type into, as a person does by what is shown.

Elements are found as a screen reader finds them, by role and accessible name. A click goes where the element is, and
waits until nothing covers it. Every wait is for a condition, with an end.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from bounded import LIMIT_S, until

T = TypeVar("T")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDE, PHONE = (1280, 900), (390, 844)
_KEYS = {"Enter": ("\r", 13), "Tab": ("", 9), "Escape": ("", 27), " ": (" ", 32), "ArrowDown": ("", 40)}
# Scrolls to an element and says where it is, unless something else lies there or it is disabled.
_PLACE = """function () {
  this.scrollIntoView({block: "center", behavior: "instant"});
  const box = this.getBoundingClientRect(), x = box.x + box.width / 2, y = box.y + box.height / 2;
  const there = document.elementFromPoint(x, y);
  const free = there && (this.contains(there) || there.closest("label")?.control === this);
  return free && !this.disabled && this.getAttribute("aria-disabled") !== "true" ? [x, y] : null;
}"""


class Refused(Exception):
    """The browser did not carry out a command; it can be that the page went away meanwhile."""


class Page:
    """A tab: what it shows, what its console says, and what it asked for over the network."""

    def __init__(self, tab: Any, run: Callable[[Coroutine[Any, Any, Any]], Any], *, size: tuple[int, int], dark: bool):
        self._tab = tab
        self._run = run
        self.console: list[Any] = []
        self.requests: list[str] = []

        async def entry(message: Any) -> None:
            self.console.append(message["params"])

        async def request(message: Any) -> None:
            self.requests.append(message["params"]["request"]["url"])

        for event in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            tab.subscribe(event, entry)
        tab.subscribe("Network.requestWillBeSent", request)
        for domain in ("Log", "Runtime", "Page", "Network", "DOM", "Accessibility"):
            self.send(f"{domain}.enable")
        self.look(size=size, dark=dark)

    def send(self, command: str, **params: Any) -> Any:
        """Send a command of the DevTools protocol; what it answers."""
        answer = self._run(asyncio.wait_for(self._tab.send_command(command, params), LIMIT_S))
        if "error" in answer:
            raise Refused(command, answer["error"])
        return answer["result"]

    def look(self, *, size: tuple[int, int], dark: bool) -> None:
        """Change the size of the page and its colours; one as narrow as a phone's is a phone's."""
        width, height = size
        phone = width < 600
        metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def offline(self) -> None:
        """Take the network away."""
        nothing = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.send("Network.emulateNetworkConditions", offline=True, **nothing)

    def open(self, url: str) -> None:
        """Open an address, and wait until its page has loaded."""
        answer = self.send("Page.navigate", url=url)
        assert "errorText" not in answer, (url, answer)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript in the page; the value, of a promise what it gives."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Refused(expression, answer["exceptionDetails"].get("exception", {}).get("description"))
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until JavaScript is true in the page that is open, be it the next one."""
        self._until(lambda: self.evaluate(expression), what=expression)

    def _until(self, condition: Callable[[], Any], *, what: str) -> None:
        def holds() -> bool:
            try:
                done = condition()
            except Refused:  # the page went away under it
                done = False
            if not done:
                self._run(asyncio.sleep(0.05))
            return bool(done)

        try:
            until(holds, what=what)
        except AssertionError as error:
            error.add_note(f"{self.evaluate('location.href')}\n{self.text()[:1000]}\n{self.console}")
            raise

    def text(self) -> str:
        """The text that is shown."""
        return str(self.evaluate("document.body?.innerText ?? ''"))

    def shows(self, text: str) -> None:
        """Wait until a text is shown."""
        self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def elements(self, role: str, name: str | None = None) -> list[int]:
        """The elements of this role and, where given, exactly this accessible name."""
        document = self.send("DOM.getDocument", depth=0)["root"]["backendNodeId"]
        asked = {"role": role} | ({} if name is None else {"accessibleName": name})
        nodes = self.send("Accessibility.queryAXTree", backendNodeId=document, **asked)["nodes"]
        return [node["backendDOMNodeId"] for node in nodes if not node["ignored"]]

    def _call(self, element: int, function: str) -> Any:
        there = self.send("DOM.resolveNode", backendNodeId=element)["object"]["objectId"]
        return self.send("Runtime.callFunctionOn", objectId=there, functionDeclaration=function, returnByValue=True)[
            "result"
        ].get("value")

    def _only(self, role: str, name: str, function: str, *, first: bool = False) -> Any:
        """Wait for the one element of a role and a name until a function of it is true; what the function gives."""
        given = None

        def there() -> bool:
            nonlocal given
            elements = self.elements(role, name)
            given = self._call(elements[0], function) if len(elements) == 1 or (first and elements) else None
            return bool(given)

        self._until(there, what=f"the one {role} {name!r}")
        return given

    def click(self, role: str, name: str, *, first: bool = False) -> None:
        """Click the one element, or the first, of this role and name, once it can be clicked."""
        x, y = self._only(role, name, _PLACE, first=first)
        for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            press = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, **press)

    def fill(self, role: str, name: str, text: str) -> None:
        """Type a text into the one field of this role and name, in place of what is there."""
        self.click(role, name)
        self._only(role, name, "function () { this.focus(); this.select?.(); return document.activeElement === this; }")
        self.send("Input.insertText", text=text)

    def choose(self, name: str, option: str) -> None:
        """Choose an option, by its text, of the one list of this name."""
        self._only(
            "combobox",
            name,
            f"""function () {{
              const option = [...this.options].find((one) => one.text.trim() === {json.dumps(option)});
              if (!option) return false;
              this.value = option.value;
              for (const kind of ["input", "change"]) this.dispatchEvent(new Event(kind, {{bubbles: true}}));
              return true;
            }}""",
        )

    def press(self, key: str) -> None:
        """Press a key of the keyboard."""
        text, code = _KEYS[key]
        pressed = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", **pressed, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def focused(self) -> str:
        """The name and the tag of what has the keyboard."""
        return str(self.evaluate("((e) => `${e.tagName} ${e.innerText || e.name || e.id}`)(document.activeElement)"))

    def audit(self, *impacts: str) -> list[Any]:
        """Audit the page, or its open dialog, with axe-core; what is wrong, of these impacts or all, and where."""
        self.evaluate((files("axe_core_python") / "axe.min.js").read_text("utf-8") + "; 0")
        done = self.evaluate("""axe.run(document.querySelector("dialog[open]") ?? document,
            {resultTypes: ["violations"]}).then((done) => [done.passes.length,
            done.violations.map((v) => [v.impact, v.id, v.nodes.map((node) => node.html.slice(0, 200))])])""")
        assert done[0] >= 10, "axe looked at nothing"
        return [violation for violation in done[1] if not impacts or violation[0] in impacts]

    def sideways(self) -> bool:
        """Tell whether the page is wider than its window."""
        wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.evaluate(wider))

    def shoot(self, file: Path) -> None:
        """Save a picture of the whole page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(shot["data"]))


class Browser:
    """A Chromium that runs."""

    def __init__(self, browser: Any, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._browser = browser
        self._run = run

    @contextmanager
    def page(self, *, size: tuple[int, int] = WIDE, dark: bool = False) -> Iterator[Page]:
        """A new tab, which knows nothing of the tabs before it."""
        tab = self._run(self._browser.create_tab("about:blank"))
        try:
            page = Page(tab, self._run, size=size, dark=dark)
            page.send("Network.clearBrowserCookies")
            yield page
        finally:
            self._run(tab.close())


@contextmanager
def started() -> Iterator[Browser]:
    """A Chromium, which ends with the block."""
    import choreographer  # comes with the extra [images]

    with asyncio.Runner() as runner:
        browser = choreographer.Browser(path=CHROMIUM, headless=True)
        runner.run(browser.open())
        try:
            yield Browser(browser, runner.run)
        finally:
            runner.run(browser.close())

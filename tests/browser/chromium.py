"""A headless Chromium controlled by tests: the DevTools protocol over a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

BINARIES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe",
    "--no-first-run", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-dev-shm-usage", "--mute-audio",
)  # fmt: skip
PATIENCE_S = 60.0


def binary():
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, BINARIES)), None)


class Chromium:
    """One browser with one page. Every command waits for its answer; events are kept."""

    def __init__(self, folder):
        to_us, theirs_out = os.pipe()
        theirs_in, to_them = os.pipe()
        flags = [*FLAGS, f"--user-data-dir={folder}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # as root it refuses to start otherwise

        # Chromium reads its commands from descriptor 3 and answers on 4.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "-", binary(), *flags, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.read, self.write, self.rest = to_us, to_them, b""
        self.number, self.session, self.events = 0, None, []
        pages = self.send("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in pages if t["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """The result of a command."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        deadline = time.monotonic() + PATIENCE_S
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], max(deadline - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            data = os.read(self.read, 1 << 20)
            assert data, "the browser has gone"
            self.rest += data
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def size(self, width, height=900):
        """Sets the size of the window; below 500 pixels wide it is a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    def open(self, url):
        """Loads a page; the seconds until its load event."""
        self.events.clear()
        began = time.monotonic()
        self.send("Page.navigate", url=url)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._next())
        return time.monotonic() - began

    def run(self, script):
        """The value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script):
        """Waits until an expression is true; fails on a timeout."""
        deadline = time.monotonic() + 5
        while not self.run(script):
            assert time.monotonic() < deadline, f"never true: {script}"
            time.sleep(0.02)

    def press(self, key, **more):
        """A key, down and up."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], **more}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def complaints(self):
        """Console messages of the page, and errors logged by the browser."""
        self.run("0")  # pending messages arrive before the answer
        logged = [e["params"] for e in self.events if e.get("method") == "Log.entryAdded"]
        return [
            *(p["entry"]["text"] for p in logged),
            *(str(e["params"]) for e in self.events
              if e.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown")),
        ]  # fmt: skip

    def requests(self):
        """The requested addresses; `data:` contains its own content and sends no request."""
        sent = [e["params"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        urls = [p["request"]["url"] for p in sent]
        return [url for url in urls if not url.startswith("data:")]

    def picture(self, path, whole=True):
        """Writes a screenshot of the page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def clip(self, path, selector):
        """Writes a screenshot of an element."""
        box = self.run(
            f"(() => {{ const r = document.querySelector({selector!r}).getBoundingClientRect();"
            "return {x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height}; })()"
        )
        shot = self.send(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True,
            clip={**box, "scale": 1},
        )  # fmt: skip
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path):
        """Prints the page."""
        done = self.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(done["data"]))

    def close(self):
        """Ends the browser."""
        os.write(self.write, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            self.process.wait(timeout=20)
        finally:
            self.process.kill()
            os.close(self.read)
            os.close(self.write)

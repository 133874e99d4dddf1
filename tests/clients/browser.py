#!/usr/bin/env python3
"""A person logs in to a simulated org with a real browser: headless Chromium.

    cargo build --workspace && tests/clients/browser.py target/debug/arrow-salesforce target/debug/salesforce-sim

The second program may also be `destination-salesforce`. Ends with a word where there is no Chromium.
Needs nothing but Python.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PATIENCE = 60
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]


class Browser:
    """One page of a browser, driven through the pipe of its debugger."""

    def __init__(self, program: str, profile: Path):
        theirs, self.out = os.pipe()
        self.into, ours = os.pipe()

        def as_they_are_known():
            # The debugger reads from 3 and writes to 4.
            read, write = os.dup(theirs), os.dup(ours)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--no-proxy-server",
                f"--user-data-dir={profile}",
                "--remote-debugging-pipe",
                "about:blank",
            ],
            preexec_fn=as_they_are_known,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(ours)
        self.number, self.buffer, self.session = 0, b"", None
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]

    def call(self, method: str, **params) -> dict:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.buffer:
                piece = os.read(self.into, 1 << 16)
                if not piece:
                    raise SystemExit("the browser has ended")
                self.buffer += piece
            line, self.buffer = self.buffer.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.number:
                # A page that goes away answers with an error.
                return answer.get("result", {})

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def value(self, expression: str):
        result = self.call("Runtime.evaluate", expression=expression)
        return result.get("result", {}).get("value")

    def wait(self, expression: str) -> None:
        end = time.monotonic() + PATIENCE
        while self.value(expression) is not True:
            if time.monotonic() > end:
                raise SystemExit(f"{expression}: in vain, the page is:\n{self.text()}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        self.wait(f"document.querySelector({selector!r}) !== null")
        self.value(f"document.querySelector({selector!r}).click()")

    def text(self) -> str:
        return self.value("document.body.innerText") or ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Login:
    """`arrow-salesforce login`, which has printed an address."""

    def __init__(self, program: str, org: str, home: Path, name: str):
        self.process = subprocess.Popen(
            [program, "login", "--client-id", "sim-client-id", "--url", org, "--as", name]
            + ["--port", "0", "--timeout", str(PATIENCE)],
            env=os.environ | {"ARROW_SALESFORCE_HOME": str(home), "BROWSER": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said, self.address = "", ""
        for line in self.process.stderr:
            self.said += line
            if line.startswith("  http"):
                self.address = line.strip()
                break

    def end(self) -> int:
        out, rest = self.process.communicate(timeout=PATIENCE)
        self.said += out + rest
        return self.process.returncode


def log_in(browser: Browser, login: Login, decision: str) -> str:
    """The text of the last page."""
    browser.open(login.address)
    browser.wait("document.querySelector('#password') !== null")
    browser.value("document.querySelector('#username').value = 'loader@sim.example'")
    browser.value("document.querySelector('#password').value = 'sim-password'")
    browser.click("#Login")
    browser.click(f"input[name=decision][value={decision}]")
    browser.wait("location.pathname === '/OauthRedirect' && document.readyState === 'complete'")
    return browser.text()


def check(fact: bool, said: str) -> None:
    if not fact:
        raise SystemExit(f"failed:\n{said}")


def run(program: str, org: str, browser: Browser, home: Path) -> None:
    login = Login(program, org, home, "mine")
    page = log_in(browser, login, "Allow")
    check(login.end() == 0, login.said)
    check("You are logged in" in page, page)
    kept = home / "orgs.json"
    check(kept.stat().st_mode & 0o777 == 0o600, oct(kept.stat().st_mode))
    check(json.loads(kept.read_text())["default"] == "mine", kept.read_text())
    for command in ["limits", "limits"]:
        looked = subprocess.run(
            [program, command, "--org", "mine", "--format", "json"],
            env=os.environ | {"ARROW_SALESFORCE_HOME": str(home)},
            capture_output=True,
            text=True,
        )
        check(looked.returncode == 0 and "DailyApiRequests" in looked.stdout, looked.stderr)

    login = Login(program, org, home, "other")
    page = log_in(browser, login, "Deny")
    check(login.end() == 2 and "access_denied" in login.said, login.said)
    check("Nobody is logged in" in page, page)
    check("other" not in json.loads(kept.read_text())["orgs"], kept.read_text())


def main() -> None:
    program, simulator = (str(Path(path).resolve()) for path in sys.argv[1:3])
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        print("no Chromium here: the login by a real browser is not tested")
        return
    words = [] if "salesforce-sim" in Path(simulator).name else ["simulate"]
    with tempfile.TemporaryDirectory() as folder:
        sim = subprocess.Popen(
            [simulator, *words, "--port", "0", "--rotate"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        browser = None
        try:
            line = sim.stdout.readline()
            org = re.search(r"http://\S+", line).group(0).rstrip("/")
            # What else it says is not waited for.
            threading.Thread(target=sim.stdout.read, daemon=True).start()
            browser = Browser(chromium, Path(folder) / "profile")
            run(program, org, browser, Path(folder) / "home")
        finally:
            if browser:
                browser.close()
            sim.terminate()
            sim.wait()
    print("a person logged in by a real browser, and another denied it")


if __name__ == "__main__":
    main()

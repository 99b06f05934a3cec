"""A page opened in headless Chromium: what it logs, what it asks a network for, how wide it is."""

import json
import re
import shutil
import subprocess
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = "<script>document.title = document.documentElement.scrollWidth + '/' + window.innerWidth</script>"


class Visit:
    """One visit of a page in a window of some width.

    Attributes:
        errors: what was logged to the console.
        requests: addresses that were asked for, beside files and data in the page itself.
        overflow: pixels by which the page is wider than the window.
    """

    def __init__(self, page: Path, width: int, folder: Path) -> None:
        log, probe = folder / "net.json", folder / f"probe{width}.html"
        probe.write_text(page.read_text(encoding="utf-8") + WIDE, encoding="utf-8")
        # Chromium makes no window narrower than 500 pixels; a frame inside of one may be.
        frame = folder / "frame.html"
        frame.write_text(f'<iframe src="{probe.name}" style="width:{width}px;height:900px;border:0"></iframe>')
        command = [PROGRAM, "--headless", *QUIET, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"]
        command += ["--enable-logging=stderr", "--allow-file-access-from-files", f"--window-size={width + 100},1000"]
        script = (
            "<script>onload = () => {document.title = document.querySelector('iframe').contentDocument.title}</script>"
        )
        frame.write_text(frame.read_text() + script)
        done = subprocess.run([*command, "--dump-dom", frame.as_uri()], capture_output=True, text=True, timeout=120)
        self.errors = re.findall(r"CONSOLE[^\n]*", done.stderr)
        asked = [each.get("params", {}) for each in json.loads(log.read_text())["events"]]
        # What the browser asks for itself, such as the time, comes from no page.
        asked = [each for each in asked if each.get("initiator", "not an origin") != "not an origin"]
        self.requests = sorted({each["url"] for each in asked if re.match(r"https?:|wss?:|ftp:", each.get("url", ""))})
        wide, inside = re.search(r"<title>(\d+)/(\d+)</title>", done.stdout).groups()
        self.overflow = int(wide) - int(inside)

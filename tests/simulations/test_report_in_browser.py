"""The report in a real browser: nothing overflows, nothing fails, every drawing is seen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.support.patience import PATIENCE

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--enable-logging=stderr",
)  # fmt: skip

PROBE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *")].filter((one) =>
    !one.closest(".scroll, .wide figure, svg") && one.getBoundingClientRect().right > innerWidth + 1);
  const small = [...document.querySelectorAll("svg:not(.hidden)")].map((one) => one.getBoundingClientRect())
    .filter((box) => box.width < 100 || box.height < 50);
  const seen = { page: document.documentElement.scrollWidth, window: innerWidth,
    wide: wide.map((one) => one.outerHTML.slice(0, 80)), small: small.length,
    drawings: document.querySelectorAll("svg:not(.hidden)").length };
  document.body.setAttribute("data-seen", JSON.stringify(seen));
});
</script>
"""


def browser() -> str:
    """Return Chromium; a missing browser is a failure, since the page must be seen."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("no Chromium: `make browser` installs Debian's package chromium")
    return found


@pytest.mark.parametrize("width", [400, 1280])
def test_the_report_fits_and_runs_clean(run: Run, folder: Path, width: int) -> None:
    options = ("--seeds", "2", "--sensitivity", "--workers", "1")
    assert run("simulate", "small", *options, "--out", folder).status == 0
    page = folder / "probed.html"
    page.write_text(
        (folder / "report.html").read_text("utf-8").replace("</body>", PROBE + "</body>"), "utf-8"
    )
    profile = folder / "profile"
    # Headless windows are at least 500 wide: a frame gives the page the width of a telephone.
    outer = folder / "outer.html"
    outer.write_text(f'<iframe src="probed.html" width="{width}" height="2000"></iframe>' + RELAY, "utf-8")
    command = [browser(), *FLAGS, f"--user-data-dir={profile}", "--allow-file-access-from-files"]
    command += [
        f"--window-size={width + 100},2200",
        "--virtual-time-budget=5000",
        "--dump-dom",
        outer.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    seen = re.search(r"data-seen=\"([^\"]+)\"", shown.stdout)
    assert seen is not None, shown.stderr
    found = json.loads(seen[1].replace("&quot;", '"'))
    assert found["wide"] == []
    assert found["small"] == 0
    assert found["drawings"] == 8
    assert found["page"] <= found["window"] == width
    assert "CONSOLE" not in shown.stderr


RELAY = """
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => setTimeout(() => document.body.setAttribute("data-seen",
  frame.contentDocument.body.getAttribute("data-seen")), 0));
</script>
"""

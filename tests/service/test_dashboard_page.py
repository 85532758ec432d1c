"""The dashboard as a browser shows it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bounded import LIMIT_S

pytest.importorskip("optuna_dashboard")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A browser that keeps to itself: no sandbox (which root cannot have), no updates, no sync.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium to open the page in")
def test_the_page_lists_the_stages(url: str, tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "hpsearch", "dashboard", "--port", "0"],
        env={**os.environ, "HPSEARCH_STORAGE": url},
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None
            page = subprocess.run(
                [
                    str(BROWSER),
                    *FLAGS,
                    f"--user-data-dir={tmp_path / 'profile'}",
                    "--virtual-time-budget=15000",
                    "--dump-dom",
                    f"{address[0]}dashboard/",
                ],
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=True,
            ).stdout
        finally:
            server.send_signal(signal.SIGTERM)
    assert "tiny/stage-01" in page
    assert "tiny/stage-02" in page
    assert server.returncode == 0

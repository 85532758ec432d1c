"""What the manual's page about deployment shows: its files pass their own programs' checks, and nginx serves by them.

The certificates, ports and paths of the examples are replaced by the tests' own; all else is as it stands there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx2
import pytest
from bounded import LIMIT_S, until
from browser import Browser
from made_stages import make
from served import serving

from hpsearch.__main__ import main
from hpsearch.cli.app import app
from hpsearch.service.credentials import Credentials
from hpsearch.service.database import open_service
from hpsearch.service.roles import Role
from hpsearch.store import open_store

ROOT = Path(__file__).parents[2]
NAME, LOOPBACK = "hp.localhost", "127.0.0.1"  # a browser looks for names that end so on its own machine
CLIENT = "127.0.0.2"  # whence the tests ask
PAGE = (ROOT / "hpsearch" / "docs" / "howto-deploy.md").read_text("utf-8")


def block(kind: str, *, number: int = 0) -> str:
    """A block of the page by its language."""
    text: str = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)[number]
    return text


def image(instruction: str) -> list[str]:
    """The words of an instruction of the Dockerfile."""
    [line] = re.findall(rf"^{instruction} (\[.*\])$", block("dockerfile"), re.M)
    words: list[str] = json.loads(line)
    return words


def program(name: str) -> str:
    """The path of a program, beside this Python or on the path; without it the test is skipped."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"no {name}")


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "hpsearch.service"
    text = block("ini").replace("/opt/hpsearch/bin/hpsearch", sys.executable)
    for content, complaints in ((text, ""), (text.replace("KillMode=process", "KillMod=process"), "KillMod")):
        unit.write_text(content)
        # The user of the example is no user here, which systemd looks at when it starts the unit.
        ran = subprocess.run([program("systemd-analyze"), "verify", unit], capture_output=True, text=True, check=False)
        assert complaints in ran.stdout + ran.stderr
        assert complaints or ran.stdout + ran.stderr == ""


def test_the_linter_finds_nothing_wrong_with_the_dockerfile(tmp_path: Path) -> None:
    lint = [program("hadolint"), "--no-color", "-"]
    for text, code in ((block("dockerfile"), 0), (block("dockerfile").replace("3.13-slim", "latest"), 1)):
        ran = subprocess.run(lint, input=text, capture_output=True, text=True, check=False)
        assert ran.returncode == code, ran.stdout


def test_the_dockerfile_installs_what_there_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [extras] = re.findall(r"/src\[([\w,]+)\]", block("dockerfile"))
    assert set(extras.split(",")) <= project["optional-dependencies"].keys()
    [version] = set(re.findall(r"FROM python:([\d.]+)", block("dockerfile")))
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_the_page_s_commands_are_ones() -> None:
    """Each that a unit, an image or a shell runs; parsed, not run."""
    shown = re.findall(r"hpsearch ((?:serve|token|db) [^`\n]*)", PAGE)
    shown.append(shlex.join(image("CMD")))
    assert len(shown) >= 8
    for line in shown:
        command: click.Command = app
        words = shlex.split(line.replace("CERT", "cert.pem").replace("KEY", "key.pem"))
        while isinstance(command, click.Group):
            name = words.pop(0)
            found = command.get_command(click.Context(command), name)
            assert found is not None, line
            command = found
        command.make_context(name, words)


def free_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def answers(port: int) -> bool:
    """Tell whether something listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def nginx(folder: Path, site: str, *, port: int) -> Iterator[None]:
    """Debian's nginx with one site, as a child that listens; in ``error.log`` it says what it did not like."""
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{path}_temp_path {folder}/{path};\n" for path in paths)
    (folder / "nginx.conf").write_text(
        f"""{"user root;" if os.getuid() == 0 else ""}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
{temporary}
access_log off;
{site}
}}
"""
    )
    # It is in a folder for administrators' programs, which the path of a user does not have.
    path = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin") or pytest.skip("no nginx")
    process = subprocess.Popen([path, "-c", folder / "nginx.conf", "-e", folder / "error.log"], start_new_session=True)
    with process:
        try:
            until(lambda: answers(port) or process.poll() is not None, what="nginx")
            assert process.poll() is None, (folder / "error.log").read_text()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)


@dataclass(frozen=True)
class Site:
    """A server behind nginx."""

    url: str  # that people open, without a slash at its end
    token: str  # an administrator's
    folder: Path  # of its databases
    direct: str  # where the server listens
    client: httpx2.Client  # of nginx, under the name of the site


@pytest.fixture(scope="module", params=[(0, ""), (1, "/tools")], ids=["root", "prefix"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page's two examples of nginx, each before a server with a stage, under a name that is not this machine's."""
    number, prefix = request.param
    folder = tmp_path_factory.mktemp("site")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={NAME}".split()
    names = ["-addext", f"subjectAltName=DNS:{NAME},IP:{LOOPBACK}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([program("openssl"), *made, *names], check=True, capture_output=True)
    port, direct = free_port(), f"{LOOPBACK}:{free_port()}"
    url = f"https://{NAME}:{port}{prefix}"
    (folder / "studies").mkdir()
    storage = str(folder / "studies" / "hpsearch.db")
    with closing(open_store(storage, create=True, write=True)) as store:
        make(store, [0.5, 0.9, 0.7], trials=3)
    with closing(open_service(storage)) as database:
        token = Credentials(database).create("ada", Role.ADMIN)
    with serving(folder, url=url, port=int(direct.rpartition(":")[2])):
        text = block("nginx", number=number)
        for old, new in (
            (r"listen 443 ", f"listen {LOOPBACK}:{port} "),
            (r"127\.0\.0\.1:8080", direct),
            (r"(?<=ssl_certificate )\S+;", f"{certificate};"),
            (r"(?<=ssl_certificate_key )\S+;", f"{key};"),
            (r"(hp|www)\.example\.org", NAME),
        ):
            text, count = re.subn(old, new, text)
            assert count == 1, old
        with nginx(folder, text, port=port):
            trust = ssl.create_default_context(cafile=certificate)
            sent = {"Host": f"{NAME}:{port}", "Authorization": f"Bearer {token}"}
            transport = httpx2.HTTPTransport(verify=trust, local_address=CLIENT)
            base = f"https://{LOOPBACK}:{port}{prefix}"
            with httpx2.Client(transport=transport, base_url=base, headers=sent) as client:
                yield Site(url, token, folder / "studies", direct, client)


def test_the_page_s_links_are_under_the_site_s_address(site: Site) -> None:
    prefix = urlsplit(site.url).path
    page = site.client.get("/hp/")
    assert page.status_code == 200
    addresses = re.findall(r'(?:href|src|data-base)="(/.*?)"', page.text)
    assert len(addresses) > 5
    assert all(address.startswith(f"{prefix}/") for address in addresses)
    files = [address.removeprefix(prefix) for address in addresses if "/static/" in address]
    assert {site.client.get(file).status_code for file in files} == {200}


def test_a_browser_s_login_is_a_cookie_for_tls_alone(site: Site) -> None:
    origin = {"Origin": site.url.removesuffix(urlsplit(site.url).path)}
    answer = site.client.post("/hp/api/v1/session", json={"token": site.token}, headers=origin)
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert {"secure", "httponly", "samesite=strict"} <= set(cookie.replace(" ", "").split(";"))
    assert f"path={urlsplit(site.url).path}/" in cookie


def test_other_names_and_pages_of_other_sites_are_refused(site: Site) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "http://hp.localhost"}):
        assert site.client.post("/hp/api/v1/session", json={"token": site.token}, headers=headers).status_code == 403


def test_the_audit_log_has_the_client_s_address_and_not_nginx_s(site: Site) -> None:
    forged = {"X-Forwarded-For": "192.0.2.1", "Authorization": "Bearer wrong"}
    assert site.client.get("/hp/", headers=forged).status_code == 401
    *_, last = (site.folder / "hpsearch-service-audit.jsonl").read_text().splitlines()
    assert (json.loads(last)["client"], json.loads(last)["path"]) == (CLIENT, "/hp/")


def test_events_arrive_through_nginx_as_they_happen(site: Site) -> None:
    with site.client.stream("GET", "/hp/api/v1/events", params={"search": "made"}) as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        assert "event: reset" in (next(lines) for _ in range(5))  # while the stream goes on
        assert not answer.is_closed


def test_a_browser_uses_the_page_behind_nginx(site: Site, browser: Browser) -> None:
    with browser.page() as page:
        page.send("Security.setIgnoreCertificateErrors", ignore=True)  # the tests' own certificate
        page.open(f"{site.url}/hp/")
        page.fill("textbox", "Token", site.token)
        page.press("Enter")
        page.shows("made")
        page.until("document.readyState === 'complete'")
        assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        assert page.console == []
        assert all(address.startswith(f"{site.url}/hp/") for address in page.requests)


def test_the_copies_of_a_backup_take_the_place_of_both_databases(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the server uses them."""
    monkeypatch.chdir(site.folder.parent)
    [first, second] = re.findall(r"^\$ hpsearch (db backup .*)$", PAGE, re.M)
    for line in (first, second):
        assert main([*shlex.split(line), "--force"]) == 0
    copy = str(site.folder / "copy.db")
    with closing(open_store(copy)) as store:
        assert [stage.search for stage in store.stages()] == ["made"]
    with closing(open_service(copy)) as database:
        assert database.engine.url.database == str(site.folder / "copy-service.db")
        assert Credentials(database).by_token(site.token, "").name == "ada"


def test_the_image_s_program_refuses_other_machines_until_there_is_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hpsearch", *image("CMD")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert ran.returncode == 2
    assert "hpsearch token create" in ran.stderr


def test_the_image_s_health_check_sees_a_server_and_none(site: Site) -> None:
    [command, *arguments] = image("HEALTHCHECK CMD")
    assert command == "python"
    check = [sys.executable, *(word.replace("127.0.0.1:8080", site.direct) for word in arguments)]
    assert subprocess.run(check, check=False).returncode == 0
    check[-1] = check[-1].replace(site.direct, f"{LOOPBACK}:9")
    assert subprocess.run(check, check=False, capture_output=True).returncode == 1

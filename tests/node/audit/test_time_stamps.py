"""Time stamps on a log's state: a real authority, run by OpenSSL on loopback."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mandorla_node.audit.bundle import write_bundle
from mandorla_node.audit.time_stamps import request_stamp
from mandorla_node.home.folder import Home
from mandorla_protocol.audit.__main__ import read_roots, verify_files
from mandorla_protocol.audit.findings import Claim, Conclusion
from mandorla_protocol.audit.report import report_lines
from mandorla_protocol.audit.stamps import load_roots, verify_stamp
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.epochs import Epoch, LabId
from mandorla_protocol.errors import Code, CryptoError, InputError, MandorlaError
from mandorla_protocol.log.entries import KeyEpochBegun
from tests.support.commands import Run
from tests.support.labs import make_home
from tests.support.patience import PATIENCE

CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = %(name)s
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[authority]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = here
[here]
serial = %(folder)s/serial
crypto_device = builtin
signer_cert = %(folder)s/tsa.crt
signer_key = %(folder)s/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256
ess_cert_id_alg = sha256
"""


class Authority:
    """A time stamping authority with a root of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "serial").write_text("01\n")
        for name in ("root", "tsa"):
            (folder / f"{name}.cnf").write_text(CONFIG % {"name": name, "folder": folder})
        key = ("-newkey", "rsa:2048", "-nodes", "-sha256")
        self.openssl(
            *("req", "-x509", *key, "-days", "30", "-config", "root.cnf", "-extensions", "root"),
            *("-keyout", "root.key", "-out", "root.crt"),
        )
        self.openssl("req", *key, "-config", "tsa.cnf", "-keyout", "tsa.key", "-out", "tsa.csr")
        self.openssl(
            *("x509", "-req", "-in", "tsa.csr", "-CA", "root.crt", "-CAkey", "root.key", "-set_serial", "7"),
            *("-days", "30", "-extfile", "tsa.cnf", "-extensions", "authority", "-out", "tsa.crt"),
        )

    @property
    def root(self) -> Path:
        return self.folder / "root.crt"

    def openssl(self, *arguments: str, stdin: bytes = b"") -> bytes:
        ran = subprocess.run(
            ["openssl", *arguments],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
        return ran.stdout

    def answer(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        return self.openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "here", "-queryfile", "query")

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer over HTTP; yields the URL."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                reply = authority.answer(query)
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa") / "a")


@pytest.fixture
def home(folder: Path) -> Home:
    made = make_home(folder, "lab-a")
    store = made.open_store()
    epoch = Epoch(made.card.identity, LabId(bytes([2] * 32)), "infrastructure", 1)
    store.log.append(KeyEpochBegun(epoch, bytes(32), 100, 2_000_000_000, 1_700_000_000))
    store.close()
    return made


def verdict_on(file: Path, root: Path) -> Conclusion:
    return verify_files([str(file)], load_engine("auto"), read_roots(str(root)))


def test_a_bundle_says_since_when_an_authority_knows_its_log(
    authority: Authority, home: Home, folder: Path, run: Run
) -> None:
    file = folder / "lab-a.audit"
    with authority.serving() as url:
        assert run("audit", "bundle", "--home", home.path, "-o", file, "--tsa", url).status == 0
    unchecked = verify_files([str(file)], load_engine("auto"))
    assert any("not checked" in line for line in report_lines(unchecked))
    verdict = verdict_on(file, authority.root)
    assert verdict.findings == []
    assert [size for size, _ in verdict.bundles[0].stamped] == [1]
    ran = run("audit", "verify", file, "--tsa-cert", authority.root)
    assert ran.status == 0
    assert "an authority stamped the first 1 entries at 20" in ran.out


def test_a_stamp_of_another_authority_or_on_another_state_does_not_count(
    authority: Authority, home: Home, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("tsa") / "b")
    with authority.serving() as url:
        good = request_stamp(url, b"a state")
        other = request_stamp(url, b"another state")
    roots = load_roots(authority.root.read_bytes())
    assert verify_stamp(good, b"a state", roots) > 1_700_000_000
    for response, text, trusted in (
        (other, b"a state", roots),
        (good, b"a state", load_roots(stranger.root.read_bytes())),
        (good[:-1], b"a state", roots),
        (b"", b"a state", roots),
    ):
        with pytest.raises(CryptoError) as caught:
            verify_stamp(response, text, trusted)
        assert caught.value.code is Code.BAD_SIGNATURE
    file, store = folder / "lab-a.audit", home.open_store()
    write_bundle(home, store, file, stamp=lambda _text: other)
    store.close()
    assert {finding.claim for finding in verdict_on(file, authority.root).findings} == {Claim.TIMED}


def test_an_entry_of_a_later_time_than_the_stamp_on_it_is_found(
    authority: Authority, home: Home, folder: Path
) -> None:
    file, store = folder / "lab-a.audit", home.open_store()
    epoch = Epoch(home.card.identity, LabId(bytes([3] * 32)), "infrastructure", 1)
    store.log.append(KeyEpochBegun(epoch, bytes(32), 100, 4_000_000_000, 3_900_000_000))
    with authority.serving() as url:
        write_bundle(
            home, store, file, clock=lambda: 3_900_000_100, stamp=lambda text: request_stamp(url, text)
        )
    store.close()
    (finding,) = verdict_on(file, authority.root).findings
    assert "later time than an authority's stamp" in finding.fault


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "ftp://127.0.0.1/", "file:///etc/hostname", "x"])
def test_without_an_authority_there_is_no_bundle_that_claims_one(home: Home, folder: Path, url: str) -> None:
    file, store = folder / "lab-a.audit", home.open_store()
    with pytest.raises(MandorlaError):
        write_bundle(home, store, file, stamp=lambda text: request_stamp(url, text))
    store.close()
    assert list(folder.glob("*.audit*")) == []
    assert list(folder.glob(".*partial")) == []


def test_an_authority_that_answers_another_request_is_not_believed(home: Home, authority: Authority) -> None:
    with authority.serving() as url:
        old = request_stamp(url, b"old")
        honest, authority.answer = authority.answer, lambda _query: old
        try:
            with pytest.raises(MandorlaError, match="The peer does not answer"):
                request_stamp(url, b"old")
        finally:
            authority.answer = honest


def test_a_file_that_holds_no_certificates_is_refused(folder: Path) -> None:
    path = folder / "roots.pem"
    path.write_text("nothing")
    with pytest.raises(InputError) as caught:
        read_roots(str(path))
    assert caught.value.code is Code.BAD_FILE

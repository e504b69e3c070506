"""Downloads from a server on this machine: broken, resumed, changed, refused."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recbench.data.catalog import RawFile
from recbench.data.raw import download
from recbench.data.raw.download import fetched
from recbench.errors import DataError, RecbenchError
from recbench.interfaces import SilentReporter

CONTENT = bytes(range(256)) * 4096  # a mebibyte


class Server(ThreadingHTTPServer):
    """Serves ``content`` under any path, and cuts an answer off after ``cut`` bytes as long as there are ``cuts``."""

    content, etag, cut, cuts, status, ranges = CONTENT, '"one"', 300_000, 0, 200, True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.gz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, start = self.server, 0
        wanted = self.headers.get("Range", "")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        if wanted and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.send_header("ETag", server.etag)
        self.end_headers()
        rest = server.content[start:]
        if server.cuts:
            server.cuts -= 1
            rest = rest[: server.cut]
        self.wfile.write(rest)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def get(server, folder, **about):
    return fetched("file.gz", RawFile(server.url, **about), folder, SilentReporter(), pause=0.0)


def test_a_broken_connection_goes_on_where_it_was(server, tmp_path):
    server.cuts = 2
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = get(server, tmp_path / "new", size=len(CONTENT), sha256=digest)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["", "bytes=300000-", "bytes=600000-"]
    assert [p.name for p in path.parent.iterdir()] == ["file.gz"]
    get(server, tmp_path / "new", sha256=digest)
    assert len(server.asked) == 3, "what is there is not fetched again"


def test_a_later_command_goes_on_too(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TRIES", 2)
    server.cuts, server.cut = 9, 0
    with pytest.raises(RecbenchError, match=r"file\.gz cannot be fetched: .*0 of 1,048,576 bytes|cannot be fetched"):
        get(server, tmp_path)
    server.cuts, server.cut = 1, 300_000
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=300000-"


def test_another_version_or_no_ranges_start_over(server, tmp_path):
    for etag, ranges in (('"two"', True), ('"one"', False)):
        (tmp_path / "file.gz.part").write_bytes(b"old")
        (tmp_path / "file.gz.part.version").write_text('"one"')
        server.etag, server.ranges = etag, ranges
        path = get(server, tmp_path)
        assert path.read_bytes() == CONTENT
        path.unlink()


def test_a_part_that_is_too_long_starts_over(server, tmp_path):
    (tmp_path / "file.gz.part").write_bytes(CONTENT + b"more")
    (tmp_path / "file.gz.part.version").write_text('"one"')
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_what_is_not_the_file_never_takes_its_name(server, tmp_path):
    with pytest.raises(DataError, match=r"file\.gz\.part is not the file that datasets\.yaml describes"):
        get(server, tmp_path, sha256="0" * 64)
    with pytest.raises(DataError, match=r"has 1,048,576 bytes, but file\.gz has 5"):
        get(server, tmp_path, size=5)
    assert not (tmp_path / "file.gz").exists()
    server.status = 404
    with pytest.raises(RecbenchError, match=r"file\.gz answers 404 \(Not Found\)"):
        get(server, tmp_path / "other")


def test_nobody_listens(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(RecbenchError, match=r"cannot be fetched: .*refused"):
        get(server, tmp_path)

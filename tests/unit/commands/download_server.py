"""A server of files on this machine, and data sets that are fetched from it."""

import hashlib
import threading
import zipfile
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from trustbench.datasets.digits import Digits
from trustbench.datasets.loading.files import FileDataset, RemoteFile

ROOT = Path(__file__).resolve().parents[3]
BODY = b"a,b\n1,2\n" * 1000


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `files`; those named in `cut` announce more bytes than they send."""

    def __init__(self, files, cut, asked, *args):
        self.files, self.cut, self.asked = files, cut, asked
        super().__init__(*args)

    def do_GET(self):
        name = self.path.lstrip("/")
        self.asked.append(name)
        if name not in self.files:
            self.send_error(404, "no such file")
            return
        body = self.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (500 if name in self.cut else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server:
    def __init__(self):
        self.files, self.cut, self.asked = {}, set(), []
        handler = partial(Handler, self.files, self.cut, self.asked)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def toy(*declared):
    @dataclass(frozen=True)
    class Toy(FileDataset):
        folder: ClassVar[str] = "toy"
        files: ClassVar[tuple[RemoteFile, ...]] = declared

        def load(self, data_dir, streams):
            raise AssertionError("fetching loads nothing")

    return {"toy": Toy(), "digits": Digits()}


def plain(server, body=BODY, digest=None, size=None):
    server.files["t.csv"] = body
    return toy(RemoteFile("t.csv", f"{server.url}/t.csv", digest or sha(body), size))


def archive(server, tmp_path, members):
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as z:
        for name, body in members.items():
            z.writestr(name, body)
    server.files["t.zip"] = path.read_bytes()
    return f"{server.url}/t.zip"


def left(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())

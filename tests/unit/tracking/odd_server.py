"""HTTP servers on this machine that answer MLflow's client as no MLflow server does."""

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXPERIMENT = {"experiment_id": "1", "name": "exp", "lifecycle_stage": "active"}
RUN = {"info": {"run_id": "r1", "experiment_id": "1", "status": "FINISHED"}, "data": {}}


@contextmanager
def serving(answer):
    """The address of a server; `answer(path, handler)` returns JSON, or sends what it likes."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with suppress(OSError):
                content = answer(self.path.partition("?")[0].rpartition("/mlflow/")[2], self)
                if content is not None:
                    self.send(json.dumps(content).encode())

        do_POST = do_GET  # noqa: N815

        def send(self, content, **headers):
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def drip(self, byte=b" ", pause_s=0.2):
            """Sends a byte now and then until the client has gone."""
            while not stop.is_set():
                self.wfile.write(byte)
                time.sleep(pause_s)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        stop.set()
        server.shutdown()
        server.server_close()


def honest(artifacts):
    """Answers of a server that keeps the files of its runs at `artifacts`."""
    run = {**RUN, "info": {**RUN["info"], "artifact_uri": artifacts}}

    def answer(path, _handler):
        if path.startswith("experiments/search"):
            return {"experiments": [EXPERIMENT]}
        if path.startswith("experiments/"):
            return {"experiment": EXPERIMENT, "experiment_id": "1"}
        if path == "runs/search":
            return {"runs": []}
        return {"run": run, "run_info": run["info"]}

    return answer

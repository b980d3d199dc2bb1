"""A stand-in for the Hugging Face hub: the calls of huggingface_hub with which models are uploaded and downloaded."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secret"


class HubServer(ThreadingHTTPServer):
    """Keeps models in memory.

    Attributes:
        models: the files of each model, by its name and their paths.
        cards: the model cards that were sent to be validated.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models: dict[str, dict[str, bytes]] = {}
        self.cards: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, name: str) -> str:
        """The id of the newest commit of a model: a hash of its files."""
        files = sorted((path, hashlib.sha256(content).hexdigest()) for path, content in self.models[name].items())
        return hashlib.sha1(json.dumps(files).encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        _, _, *parts = urlsplit(self.path).path.split("/")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send_json({"error": "Invalid credentials"}, status=401)
        elif parts == ["repos", "create"]:
            request = json.loads(body)
            name = f"{request['organization']}/{request['name']}"
            self.server.models.setdefault(name, {})
            self.send_json({"url": f"{self.server.address}/{name}"})
        elif parts == ["validate-yaml"]:
            self.server.cards.append(json.loads(body)["content"])
            self.send_json({"errors": [], "warnings": []})
        elif parts[3] == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
            self.send_json({"files": files})
        else:
            name, lines = "/".join(parts[1:3]), [json.loads(line) for line in body.splitlines()]
            for value in (line["value"] for line in lines if line["key"] == "file"):
                self.server.models[name][value["path"]] = base64.b64decode(value["content"])
            commit = self.server.commit(name)
            self.send_json({"commitUrl": f"{self.server.address}/{name}/commit/{commit}", "commitOid": commit})

    def do_GET(self) -> None:
        _, *parts = unquote(urlsplit(self.path).path).split("/")
        is_call = parts[0] == "api"
        name = "/".join(parts[2:4] if is_call else parts[:2])
        if name not in self.server.models:
            self.send_json({"error": "not found"}, status=401, code="RepoNotFound")
            return
        files, commit = self.server.models[name], self.server.commit(name)
        revision = parts[5] if is_call and len(parts) > 5 else "main" if is_call else parts[3]
        if revision not in ("main", commit):
            self.send_json({"error": "no such revision"}, status=404, code="RevisionNotFound")
        elif not is_call:
            self.send(files["/".join(parts[4:])], commit=commit)
        elif parts[4:5] == ["tree"]:
            entries = [{"type": "file", "path": path, "size": len(each)} for path, each in files.items()]
            self.send_json([{**each, "oid": hashlib.sha1(files[str(each["path"])]).hexdigest()} for each in entries])
        else:
            self.send_json({"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]})

    def do_HEAD(self) -> None:
        self.do_GET()

    def send_json(self, value: Any, *, status: int = 200, code: str | None = None) -> None:
        self.send(json.dumps(value).encode(), status=status, code=code)

    def send(self, content: bytes, *, status: int = 200, code: str | None = None, commit: str | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        optional = {"X-Error-Code": code, "X-Repo-Commit": commit}
        for name, value in (headers | {name: value for name, value in optional.items() if value}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Prints nothing."""


@contextmanager
def serve() -> Iterator[HubServer]:
    """Serves inside the block."""
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""A whole job with every kind of secret on its way, and storages and programs that shout them: afterwards every byte
that anybody can read is searched for each of them."""

import json
import os
import secrets
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from signing_catalogue import PLACE
from storage_kit import HASTY, inputs, outputs, prefix, queue_of
from test_progress_trip import Visitor

from grid import Grid
from picard_pilot.testing.certificates import Authority
from picard_pilot.testing.faulty_storage import FaultyStorage
from trace_receiver import receiving

HERE = Path(__file__).parent
CONTENT = os.urandom(100_000)
INPUTS = {"signed.dat": CONTENT, "token.dat": CONTENT[1:], "program.dat": CONTENT[2:]}
HOPELESS = ("lost.dat", "lie.dat", "claim.dat")
"""Inputs about which the program only talks."""

SHOUTING = """
import json, os, sys
from urllib.parse import unquote

token = open(os.environ["BEARER_TOKEN_FILE"]).read()
for line in sys.stdin:
    ask = json.loads(line)
    number, verb, lfn, surl = ask["number"], ask["verb"], ask.get("lfn", ""), ask.get("surl", "")
    query = surl.partition("?")[2]
    words = [surl, unquote(surl), query, query[:90], query.rpartition("=")[2], token, token[:200], "Bearer " + token]
    sys.stderr.write("".join(f"{word} is what I was given\\n" for word in words))
    # So often that whatever is kept of it begins in the middle of one.
    sys.stderr.write(f"{token} {surl} " * 150)
    sys.stderr.flush()
    tries = os.path.join(os.environ["SHOUTED"], f"{verb}-{lfn}")
    with open(tries, "a") as file:
        file.write("x")
    stored = os.path.join(os.environ["SHOUTED"], "storage", lfn)
    answer = {"number": number, "result": "done"}
    if verb == "describe":
        answer["verbs"] = ["fetch", "store"]
    elif lfn == "lost.dat":
        says = f"{token[:200]} {surl} {query} {token}"
        answer = {"number": number, "result": "failed", "kind": "missing", "says": says, "code": token}
    elif lfn == "lie.dat":
        print(query, surl, token)
    elif lfn == "claim.dat":
        answer["result"] = token
    elif os.path.getsize(tries) == 1:
        says = f"{query[:90]} {query.rpartition('=')[2]} {token}"
        answer = {"number": number, "result": "failed", "kind": "transfer", "says": says, "retry_after_s": 0}
    elif os.path.getsize(tries) == 2:
        sys.stderr.write(f"\\nno way to {surl} by {token}, {query[-80:]}\\n")
        sys.exit(9)
    else:
        source, target = (stored, ask["path"]) if verb == "fetch" else (ask["path"], stored)
        with open(source, "rb") as found, open(target, "wb") as made:
            made.write(found.read())
    print(json.dumps(answer), flush=True)
"""

PAYLOAD = """
import os
print(dict(os.environ))
for name in ("signed.dat", "token.dat", "program.dat"):
    assert open(name, "rb").read(), name
open("out.dat", "wb").write(b"to the door")
open("own.dat", "wb").write(b"by the program")
"""


@contextmanager
def watched_command_lines(needles: list[bytes]) -> Iterator[set[bytes]]:
    """Look at the command lines of all processes, over and over; the needles that were seen there."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    line = (process / "cmdline").read_bytes()
                except OSError:
                    continue  # it has ended
                seen.update(needle for needle in needles if needle in line)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def signed(storage: FaultyStorage, name: str, key: str, method: str = "GET") -> str:
    """A presigned address with the key's name in it, as S3's are."""
    credential = quote(f"{key}/20261123/us-east-1/s3/aws4_request", safe="")
    return f"{storage.presigned(name, method)}&X-Amz-Credential={credential}"  # type: ignore[arg-type]


def needles_in(secret: str) -> list[bytes]:
    """The secret, and pieces of it that are long enough to be of use to somebody."""
    pieces = {secret, quote(secret, safe=""), secret[:40], secret[-40:]}
    return [piece.encode() for piece in pieces]


def searched(folder: Path, needles: list[bytes]) -> list[tuple[str, bytes]]:
    """Files below a folder, members of archives too, that hold a needle in their content or name."""
    found = []
    for path in sorted(folder.rglob("*")):
        texts = [os.fsencode(path)]
        if path.is_file():
            texts.append(path.read_bytes())
            if tarfile.is_tarfile(path):
                with tarfile.open(path) as archive:
                    members = [member for member in archive.getmembers() if member.isfile()]
                    texts += [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
        found += [(str(path), needle) for needle in needles if any(needle in text for text in texts)]
    return found


class Scene:
    """Storages, a program and a catalogue that know secrets, and shout them."""

    def __init__(self, grid: Grid, stack: ExitStack) -> None:
        here = grid.directory
        (here / "ca").mkdir()
        self.authority = Authority(here / "ca")
        tls = self.authority.server_context("localhost")
        self.bad, self.good, self.door = (
            stack.enter_context(FaultyStorage(here / name, name=name.upper(), tls=tls, host="localhost"))
            for name in ("bad", "good", "door")
        )
        self.receiver = stack.enter_context(receiving())
        self.token = self.door.token()
        self.token_file = here / "token"
        self.token_file.write_text(self.token)
        self.token_file.chmod(0o600)
        keys = [f"AKIA{secrets.token_hex(24).upper()}" for _ in range(3)]
        password, own_signature = secrets.token_hex(24), secrets.token_hex(32)
        at_bad, at_good = (
            signed(storage, "signed.dat", key)
            for storage, key in zip((self.bad, self.good), keys, strict=False)
        )
        self.own = "mounted://site"
        query = f"X-Amz-Credential={keys[2]}%2Fs3&X-Amz-Signature={own_signature}"
        with_password = f"https://user:{password}@localhost:1/signed.dat"
        self.replicas = {"signed.dat": [("BAD", with_password), ("BAD", at_bad), ("GOOD", at_good)]} | {
            lfn: [("OWN", f"{self.own}/{lfn}?{query}")] for lfn in ("program.dat", *HOPELESS)
        }
        signatures = [found.partition("X-Amz-Signature=")[2].partition("&")[0] for found in (at_bad, at_good)]
        self.needles = [
            needle
            for secret in (self.token, *signatures, *keys, password, own_signature)
            for needle in needles_in(secret)
        ]
        self._let_them_shout(f"you said Authorization: Bearer {self.token} for {at_bad} and {at_good}")

    def _let_them_shout(self, words: str) -> None:
        self.good.put("signed.dat", INPUTS["signed.dat"])
        self.door.put("token.dat", INPUTS["token.dat"])
        self.bad.fault("GET", status=403, body=words)
        self.good.fault("GET", "signed.dat", status=503, body=words, last=1)
        self.door.fault("GET", "token.dat", status=503, body=words, last=1)
        self.door.fault("PUT", status=500, body=words, last=1)

    def queue(self, grid: Grid) -> None:
        """Write the queue that leads there."""
        shouted = grid.directory / "shouted"
        (shouted / "storage").mkdir(parents=True)
        (shouted / "storage" / "program.dat").write_bytes(INPUTS["program.dat"])
        catalogue = grid.directory / "replicas.json"
        catalogue.write_text(json.dumps(self.replicas))
        program = grid.directory / "shouting"
        program.write_text(f"#!{sys.executable}\n{SHOUTING}")
        program.chmod(0o755)
        queue_of(
            grid,
            {**{s.endpoint.name: prefix(s) for s in (self.bad, self.good, self.door)}, "OWN": self.own},
            activities={"pr": ["DOOR", "OWN"], "read_alternative": ["BAD", "GOOD"], "pw": ["DOOR", "OWN"]},
            queue_lines=f'trace_url = "{self.receiver.url}"',
            tables=f"""
            [queue.{grid.queue}.movers]
            pr = ["signing_catalogue:Signing", "http", "external:{program}"]
            pw = ["http", "external:{program}"]
            pl = ["local"]
            [queue.{grid.queue}.environment]
            {PLACE} = "{catalogue}"
            SHOUTED = "{shouted}"
            """,
        )


def test_no_secret_is_left_anywhere(grid: Grid) -> None:
    """A token, presigned addresses, names of keys and a password: transfers fail and are tried again, and everybody
    quotes back what he was given. One job finishes, one fails, and nothing of it is anywhere."""
    with ExitStack() as stack:
        scene = Scene(grid, stack)
        scene.queue(grid)
        wanted = {name: INPUTS[name] for name in ("signed.dat", "token.dat", "program.dat")}
        good = grid.submit_python(
            PAYLOAD,
            **{**inputs(wanted), **outputs("out.dat", "own.dat")},
            ddmEndPointIn="BAD,DOOR,OWN",
            ddmEndPointOut="DOOR,OWN",
        )
        lost = grid.submit(
            "/bin/true", **inputs(dict.fromkeys(HOPELESS, CONTENT)), ddmEndPointIn="OWN,OWN,OWN"
        )
        flags = ("--storage-token-file", str(scene.token_file), "--storage-ca", str(scene.authority.ca_file))
        with watched_command_lines(scene.needles) as on_command_lines:
            pilot = grid.pilot(*HASTY, "--no-cleanup", "--jobs", "2", *flags, PYTHONPATH=str(HERE))
            assert pilot.wait(120) == 0, grid.output()
        assert grid.wait_status(good, "finished", "failed") == "finished", (grid.errors(good), grid.output())
        assert grid.wait_status(lost, "finished", "failed") == "failed"
        assert (scene.door.read("out.dat"), scene.good.count("GET", "signed.dat")) == (b"to the door", 2)
        assert scene.bad.count("GET", "signed.dat") >= 1
        assert scene.receiver.traces
    visitor = Visitor(grid)
    seen = {"pilot": grid.output(), "traces": json.dumps([scene.receiver.traces, scene.receiver.headers])}
    for job in (good, lost):
        seen |= {
            f"page {job}": visitor.page(job),
            f"facts {job}": json.dumps(visitor.facts(job)),
            f"job {job}": json.dumps(grid.job(job)),
        }
    found = [
        (where, needle) for where, text in seen.items() for needle in scene.needles if needle in text.encode()
    ]
    for place in (grid.workdir, grid.store, Path(grid.info.data_dir), grid.directory / "node"):
        found += searched(place, scene.needles)
    assert not found
    assert not on_command_lines

"""Runs a command many times, each time with one failing call to its storage, and then without failures.

    python -m tests.cli.fail_every_call score local 100 0  # VERB STORE POINTS SEED [SECONDS [JOBS]]

Each point is a separate process, forked from one that has imported most modules. Prints one line of JSON:
the calls of a run without failures, the tested points, and those with wrong output. A process imports some
modules only when it needs them, so the result is void if the code changes meanwhile.
"""

import contextlib
import errno
import fcntl
import gc
import io
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fsspec.implementations.local import LocalFileSystem

import beam_sts
import beam_sts.dedup.shards as pair_shards
import beam_sts.mining.shards as mining_shards
from beam_sts.cli import dedup, mine, score, score_job
from beam_sts.models.checkpoint import load_checkpoint
from beam_sts.scoring import backends, languages, scorer
from beam_sts.scoring.tokens import PairTokenizer
from tests import checkpoints
from tests.cli.test_dedup import made_texts

VERBS = {"score": score, "dedup": dedup, "mine": mine}
KINDS = ("error", "short", "lost", "kill", "kill after")
KILLED = 137
_LONGEST = 300  # limit of a run in seconds, after which SIGALRM ends it
_LOCAL = ("cat_file", "cat_ranges", "ls", "info", "exists", "isdir", "find", "glob", "rm", "rm_file")
_PATHS = ("open", "replace", "mkdir", "unlink")


class Faults:
    """Counts the calls to the storage, and makes one of them fail."""

    def __init__(self, marker):
        self.marker, self.calls, self.at, self.kind, self.depth = marker, [], None, None, 0

    def call(self, name, real, args, kwargs, *, counts):
        if self.depth or not counts:
            return real(*args, **kwargs)
        self.calls.append(name)
        hit = len(self.calls) == self.at
        if hit and self.kind == "kill":
            os._exit(KILLED)
        if hit and self.kind == "error":
            raise OSError(errno.EIO, f"made to fail: {name}")
        if hit and self.kind == "short" and name == "write":
            real(args[0][: len(args[0]) // 2])
            raise OSError(errno.ENOSPC, "made to fail: half is written")
        self.depth += 1
        try:
            result = real(*args, **kwargs)
        finally:
            self.depth -= 1
        if hit and self.kind == "kill after":
            os._exit(KILLED)
        if hit and self.kind in ("lost", "short"):
            raise OSError(errno.EIO, f"made to fail: the answer of {name} is lost")
        return result

    def wrap(self, owner, name):
        real = getattr(owner, name)

        def wrapped(*args, **kwargs):
            counts = any(self.marker in str(arg) for arg in args[:2]) or name in ("fsync", "flock")
            result = self.call(name, real, args, kwargs, counts=counts)
            mode = kwargs.get("mode", args[1] if len(args) > 1 else "r") if name == "open" else "r"
            if counts and isinstance(mode, str) and set(mode) & set("wa+"):
                write = result.write
                with contextlib.suppress(AttributeError):
                    return _Written(result, lambda data: self.call("write", write, (data,), {}, counts=True))
            return result

        setattr(owner, name, wrapped)


class _Written:
    """An open file whose writes count as calls too."""

    def __init__(self, stream, write):
        self._stream, self.write = stream, write

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __enter__(self):
        self._stream.__enter__()
        return self

    def __exit__(self, *what):
        return self._stream.__exit__(*what)


def attach_local(faults):
    for name in _LOCAL:
        faults.wrap(LocalFileSystem, name)
    for name in _PATHS:
        faults.wrap(Path, name)
    faults.wrap(os, "fsync")
    faults.wrap(fcntl, "flock")


def attach_s3(faults):
    """Patch the one coroutine through which all requests of an S3 file system go."""
    import s3fs

    real = s3fs.S3FileSystem._call_s3

    async def called(self, method, *args, **kwargs):
        if not any(faults.marker in str(arg) for arg in (args, kwargs)):
            return await real(self, method, *args, **kwargs)
        faults.calls.append(method)
        hit = len(faults.calls) == faults.at
        if hit and faults.kind == "kill":
            os._exit(KILLED)
        if hit and faults.kind in ("error", "short"):  # an interrupted request stores nothing
            raise OSError(errno.EIO, f"made to fail: {method}")
        result = await real(self, method, *args, **kwargs)
        if hit and faults.kind == "kill after":
            os._exit(KILLED)
        if hit and faults.kind == "lost":
            raise OSError(errno.EIO, f"made to fail: the answer of {method} is lost")
        return result

    s3fs.S3FileSystem._call_s3 = called


def load_once(model):
    """Load the models once, before the forks, since the test is about the storage."""
    checkpoint = load_checkpoint(str(model))
    loaded = backends.load_backend(checkpoint, PairTokenizer.of(checkpoint), "native", "fp32", "cpu", 1)
    score_job.resolve_backend = scorer.resolve_backend = lambda *_: "native"
    scorer.load_backend = lambda *_: loaded
    languages._detector()
    gc.freeze()


def command(verb, source, output, model, more):
    options = {
        "score": ("--text_a=text", "--text_b=text_b", "--rows_per_shard=10", "--threshold=0.4"),
        "dedup": ("--text=text", "--rows_per_shard=20", "--candidates=exact,minhash"),
        "mine": ("--text=text", "--test_share=0.3", "--neighbours=1"),
    }[verb]
    places = (f"--input={source}", f"--output={output}", f"--model={model}")
    return [*places, *options, "--threads=1", "--quiet", *more]


def forked(faults, attach, verb, arguments, at=None, kind=None):
    """Run a command in a separate process, and return its status, its calls and its output."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        faults.at, faults.kind = at, kind
        signal.alarm(_LONGEST)
        with io.StringIO() as said:
            sys.stdout = sys.stderr = said
            attach(faults)
            try:
                status = VERBS[verb].main(arguments)
            except BaseException as error:
                said.write(repr(error))
                status = 99
            told = json.dumps([faults.calls, said.getvalue()[-600:]]).encode()
        with open(writer, "wb") as stream:  # noqa: PTH123
            stream.write(told)
        os._exit(status)
    os.close(writer)
    with open(reader, "rb") as stream:  # noqa: PTH123
        told = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    calls, said = json.loads(told) if told else ([], "")
    return status, calls, said


def content(folder):
    """The shards and the counts of an output folder."""
    shards = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("part-*"))
        if "_run" not in path.parts
    }
    file = folder / "summary.json"
    counts = json.loads(file.read_text()) if file.exists() else {}
    names = [name for name in counts if name.startswith("rows_") or name in ("pairs", "matches", "clusters")]
    return shards, {name: counts[name] for name in sorted(names)}


def hidden(folder):
    return [str(path) for path in folder.rglob(".*") if ".sgwtmp" not in str(path)]


def code():
    """The state of the source files of the package."""
    root = Path(beam_sts.__file__).parent
    states = {path: path.stat() for path in sorted(root.rglob("*.py"))}
    return {str(path): (state.st_size, state.st_mtime_ns) for path, state in states.items()}


def main(verb, store, points, seed, seconds=float("inf"), jobs=1):
    started, before = time.monotonic(), code()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        root = Path(scratch)
        model = checkpoints.bert_hash(root / "model")
        texts = [*made_texts(12), None]
        pq.write_table(pa.table({"text": texts, "text_b": texts[::-1]}), root / "in.parquet")
        pair_shards.PAIRS_PER_SHARD, mining_shards.PAIRS_PER_SHARD = 15, 40
        load_once(model)
        more: list[str] = []
        attach, base, local = attach_local, root, str(root)
        if store == "s3":
            import s3fs  # noqa: F401 - each forked process would import it

            from tests.cli.test_object_store import Server, _options

            server = Server(root / "server")
            server.start()
            stack.callback(server.stop)
            (server.data / "bucket").mkdir()
            options = root / "storage.json"
            options.write_text(
                json.dumps(_options(server.port, config_kwargs={"retries": {"max_attempts": 1}}))
            )
            more = [f"--storage_options={options}", "--takeover"]
            attach, base, local = attach_s3, server.data / "bucket", "s3://bucket"

        def arguments(name):
            return command(verb, root / "in.parquet", f"{local}/{name}", model, more)

        status, calls, said = forked(Faults("out_whole"), attach, verb, arguments("out_whole"))
        assert status == 0, said
        whole = content(base / "out_whole")
        assert len(whole[0]) > 4
        every = [(at, kind) for at in range(1, len(calls) + 1) for kind in KINDS]
        every = [(at, kind) for at, kind in every if kind != "short" or calls[at - 1] == "write"]
        chosen = random.Random(seed).sample(every, min(points, len(every)))

        def tried(job):
            """Try every ``jobs``-th point while there is time; gives the kinds and the faults."""
            kinds, wrong = [], []
            for number in range(job, len(chosen), jobs):
                if time.monotonic() - started > seconds:
                    break
                at, kind = chosen[number]
                name = f"out_{number}"
                first, _, why = forked(Faults(name), attach, verb, arguments(name), at, kind)
                after = content(base / name) if first == 0 else None
                second, _, said = forked(Faults(name), attach, verb, arguments(name))
                kinds.append(kind)
                reasons = [
                    *(["exit 0 with another output"] if after is not None and after != whole else []),
                    *(["a traceback"] if "Traceback" in why else []),
                    *([f"status {first}: {why}"] if first not in (0, 1, 2, KILLED) else []),
                    *([f"again: status {second}: {said}"] if second else []),
                    *(["again: another output"] if not second and content(base / name) != whole else []),
                    *(["again: left " + ", ".join(hidden(base / name))] if hidden(base / name) else []),
                ]
                if reasons:
                    wrong.append([at, kind, calls[at - 1], reasons])
                    print(
                        json.dumps(wrong[-1]), file=sys.stderr, flush=True
                    )  # should the campaign be stopped
                if len(kinds) % 20 == 0:
                    print(f"job {job}: {len(kinds)} points", file=sys.stderr, flush=True)
            return kinds, wrong

        found = [beside(tried, job) for job in range(jobs)]  # all run before the first is waited for
        kinds, wrong = (
            list(itertools.chain(*part)) for part in zip(*(wait() for wait in found), strict=True)
        )
        assert code() == before, "the code has changed meanwhile, so the result says nothing"
        took = round(time.monotonic() - started)
        told = {"verb": verb, "store": store, "calls": len(calls), "of": len(every), "points": len(kinds)}
        print(json.dumps({**told, "kinds": Counter(kinds), "seconds": took, "wrong": wrong}))


def beside(function, *args):
    """Start a function in a forked process; gives a function that waits for its result."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            with open(writer, "wb") as stream:  # noqa: PTH123
                stream.write(json.dumps(function(*args)).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)

    def wait():
        with open(reader, "rb") as stream:  # noqa: PTH123
            told = stream.read()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return json.loads(told)

    return wait


if __name__ == "__main__":
    torch.set_num_threads(1)  # a fork copies no threads, and OpenMP would wait for them
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))

"""A worker process, seen from the parent: start it, ask it, bury it."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from typing import IO

import psutil

from harness import frames, registry
from harness.environment import PROTOCOL, ask
from harness.errors import WorkerFailed
from harness.frames import Hello, Reply, Request

START_LIMIT = 180.0  # seconds for a framework to import on a busy machine


class TimedOut(WorkerFailed):
    """The worker did not answer within its limit and was killed."""


class Process:
    """One backend under one interpreter."""

    def __init__(self, backend: str, python: str, threads: int) -> None:
        self.backend = backend
        declaration = registry.find(backend)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        command = [python, "-m", "harness.worker", "--backend", backend, "--threads", str(threads)]
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # an interrupt is for the parent to handle
            env={**os.environ, **declaration.environment(threads)},
        )
        try:
            self.facts = self._greeted(ask(python, backend).packages)
        except WorkerFailed:
            self.kill()
            raise

    def _greeted(self, promised: Mapping[str, str]) -> Mapping[str, str]:
        """The backend's facts, once the versions in the greeting are those of the fingerprint."""
        hello = self._receive(START_LIMIT)
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            raise WorkerFailed(f"{self.backend}: the worker speaks another protocol")
        for package, version in hello.versions.items():
            expected = promised.get(package, version)
            if expected.partition("+")[0] != version.partition("+")[0]:
                raise WorkerFailed(f"{self.backend}: {package} is {version}, its distribution says {expected}")
        return hello.facts

    def resident_bytes(self) -> int:
        """The memory that the process holds; 0 when it is gone."""
        try:
            return int(psutil.Process(self._popen.pid).memory_info().rss)
        except psutil.NoSuchProcess:
            return 0

    def ask(self, request: Request, limit: float) -> Reply:
        """The reply to one request. ``TimedOut`` past ``limit`` seconds, ``WorkerFailed`` if the process dies.

        After either the process is of no more use: ``kill`` it.
        """
        assert self._popen.stdin is not None
        try:
            frames.write(self._popen.stdin, request)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise WorkerFailed(self._last_words()) from None
        reply = self._receive(limit)
        if not isinstance(reply, Reply):
            raise WorkerFailed(f"{self.backend}: the worker answered out of turn")
        return reply

    def _receive(self, limit: float) -> frames.Message:
        deadline = time.monotonic() + limit
        length = int.from_bytes(self._exactly(4, deadline, limit), "big")
        return frames.decode(self._exactly(length, deadline, limit))

    def _exactly(self, count: int, deadline: float, limit: float) -> bytes:
        assert self._popen.stdout is not None
        descriptor = self._popen.stdout.fileno()
        pieces = b""
        while len(pieces) < count:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimedOut(f"no answer within {limit:g} s; the worker was killed")
            piece = os.read(descriptor, min(1 << 20, count - len(pieces)))
            if not piece:
                raise WorkerFailed(self._last_words())
            pieces += piece
        return pieces

    def _last_words(self) -> str:
        """Why the process ended: its signal or exit code, and the last line that it wrote."""
        code = self._popen.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1][-300:]}" if lines else ""
        if code == -signal.SIGKILL:
            return f"the worker was killed (signal 9; out of memory?){last}"
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"the worker ended with {how}{last}"

    def kill(self) -> None:
        """End the process now."""
        self._popen.kill()
        self._popen.wait()
        self._release()

    def close(self) -> None:
        """Let the process end by itself: its stream of requests ends."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._release()

    def _release(self) -> None:
        for stream in (self._popen.stdin, self._popen.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # an unsent request to a dead worker
                    stream.close()

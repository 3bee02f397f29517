"""A batch: every case of a folder through a server, each exactly once, whatever is killed on the way."""

from __future__ import annotations

import errno
import os
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ..cases import case_files, load_case
from ..cases.reading import CAPTION, links_out, natural
from ..errors import LumosXError
from ..media.pictures import PICTURES
from ..untrusted import inside, shown
from ..whole_folders import UNFINISHED
from .client import Server
from .graph import Graph, plain
from .journal import DONE, FAILED, PREFIX, Journal, Posted, Results, Stop, replacing_durably
from .outcome import Outcome, is_whole_mp4, iso_time, read_history
from .progress import Progress
from .protocol import Refused, ServerAway

UNDER_WAY = 2
"""One prompt runs and one waits: the server never idles, and little goes on after Ctrl-C."""
POLL_SECONDS = 0.5
SETTLE_SECONDS = 2.0
"""How long a prompt must be unknown to the server: a request of a runner that was killed may still be on its way."""
MOST_POSTS = 3
"""How often a case may get lost at the server, which it may be the case itself that ends."""
DOWNLOADED = (*PICTURES, ".gif", ".mp4", ".webm", ".mkv", ".mov", ".avi")
"""How names end that a server may give to files on this machine."""
_PAUSES = (1, 10)
_SENT = (*PICTURES, ".txt", ".json")
_MOST_VIDEOS = 100
# What is wrong with one name rather than with the disk.
_NAME_ERRORS = (
    errno.ENAMETOOLONG, errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP,
    errno.EILSEQ,
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the user chose.

    Attributes:
        root: the folder of cases.
        graph: with the seed set.
        download: where outputs are fetched to; None leaves them at the server.
        wait: seconds to wait for a server that does not answer.
        timeout: seconds for one case to run, counted from each time it is posted; None for no limit.
    """

    root: Path
    graph: Graph
    download: Path | None = None
    wait: float = 600
    timeout: float | None = None


def find_cases(root: Path) -> tuple[list[str], list[str]]:
    """The case folders of a folder, and its other folders; in natural order (2 before 10), without dot folders.

    Raises:
        LumosXError: no folder, a case itself, no case in it, or it cannot be read.
    """
    try:
        if not root.is_dir():
            raise LumosXError(f"ROOT: there is no folder {root}; give the folder that holds the case folders.")
        if (root / CAPTION).is_file():
            raise LumosXError(f"ROOT: {root} is itself a case; give the folder that contains it.")
        folders = [path for path in sorted(root.iterdir(), key=natural) if os.path.isdir(path) and path.name[0] != "."]
    except OSError as error:
        raise LumosXError(f"ROOT: {root} cannot be read ({error.strerror}); give another folder.") from error
    cases = [path.name for path in folders if _may_be_case(root, path) and not path.name.endswith(UNFINISHED)]
    if not cases:
        raise LumosXError(f"ROOT: no folder in {root} has a {CAPTION}; docs/cases.md says what a case is.")
    return cases, [path.name for path in folders if path.name not in cases]


def files_to_send(folder: Path) -> list[Path]:
    """The files of a case that its server needs, sorted.

    Raises:
        LumosXError: a link that leads out of the case, since whoever made the folder chose what it points to.
    """
    for path in links_out(folder):
        if path.is_dir() or _is_sent(path.name):
            raise LumosXError(
                f"case: {shown(path.relative_to(folder).as_posix())} of {shown(folder.name)} is a link that leads out "
                "of the case, so nothing of it is sent; put the file itself there."
            )
    return [path for path in case_files(folder) if _is_sent(path.name)]


def _is_sent(name: str) -> bool:
    return name[0] != "." and name.lower().endswith(_SENT)


def _may_be_case(root: Path, folder: Path) -> bool:
    if inside(root, folder) is None:
        # Its own line says that it is a link, and nothing about its target.
        return True
    try:
        return (folder / CAPTION).is_file()
    except OSError:
        # Reading it says in its own line what is wrong.
        return True


class Batch:
    """Posts cases, waits for them and writes a line for each.

    A prompt's id is on disk before the server hears of it. So whoever resumes asks for that id: a prompt in the queue
    is waited for, one in the history is taken, one whose video lies whole at the server is taken too, and only one of
    which nothing is left is posted again.
    """

    def __init__(
        self, settings: Settings, server: Server, results: Results, journal: Journal, progress: Progress
    ) -> None:
        self.settings, self.server, self.progress = settings, server, progress
        self.results, self.journal = results, journal
        # The same for every run on a folder, so that its videos are together on the server.
        self._folder = PurePosixPath(PREFIX, plain(settings.root.resolve().name) or "cases")
        self._unknown_since: dict[str, float] = {}
        self._running_since: dict[str, float] = {}

    def run(self, cases: list[str]) -> None:
        """Continue until every case has a line.

        Raises:
            LumosXError: the server stays away or lacks nodes, or a file cannot be written; the next run goes on there.
        """
        self._check_server()
        under_way = self.journal.under_way
        for case in list(under_way):
            if case not in cases and case not in self.results.lines:
                self.progress.say(f"{case}: it is not, or no longer, a case of ROOT; its entries in the journal are "
                    "dropped.")
            if case not in cases or case in self.results.lines:
                self.journal.drop(case)
        left = deque(case for case in cases if case not in self.results.lines and case not in under_way)
        while left or under_way:
            while left and len(under_way) < UNDER_WAY:
                self._begin(left.popleft())
            self._look()
            if under_way:
                time.sleep(POLL_SECONDS)
        self.journal.remove()

    def _check_server(self) -> None:
        lacking = self._patiently(self.server.lacks, self.settings.graph.class_types)
        if lacking:
            raise LumosXError(f"server: {self.server.url} lacks {', '.join(lacking)}; install what is missing there.")
        if self.journal.under_way and self.journal.server != self.server.url:
            self.progress.say(
                f"Cases that {self.journal.server} had not finished are posted again to {self.server.url}."
            )
        self.journal.server = self.server.url

    def _begin(self, case: str) -> None:
        prompt_id = str(uuid.uuid4())
        graph = self.settings.graph
        prefix = self._folder / f"{plain(case)}-{prompt_id[:8]}"
        posted = Posted(case, case, prompt_id, str(prefix), graph.sha256, graph.seed)
        checked = self._for_case(case, self._checked_name, case)
        if isinstance(checked, Outcome):
            self._write(replace(posted, prompt_id=""), checked)
        else:
            self._post(replace(posted, name=checked))

    def _checked_name(self, case: str) -> str:
        """The name of a case that can be sent."""
        root = self.settings.root
        if inside(root, root / case) is None:
            raise LumosXError(f"case: {shown(case)} is a link that leads out of ROOT; put the case itself there.")
        try:
            for path in files_to_send(root / case):
                str(path.relative_to(root)).encode()
        except UnicodeEncodeError as error:
            raise LumosXError("case: a name in it, or its own, is not UTF-8; rename it.") from error
        return load_case(root / case, self.settings.graph.full_bodies).name

    def _for_case(self, case: str, call: Callable[..., T], *arguments: object) -> T | Outcome:
        """Do something for one case; what goes wrong with it is its outcome and ends no other case."""
        try:
            return call(*arguments)
        except (Stop, ServerAway):
            raise
        except LumosXError as error:
            return Outcome(str(error))
        except OSError as error:
            if error.errno in _FULL:
                raise Stop(f"results: the disk is full ({error.strerror}); free some space, then continue.") from error
            return Outcome(f"case: a file of {shown(case)} cannot be read ({error.strerror or error}).")
        except Exception as error:
            return Outcome(f"case: {shown(case)} cannot be run ({type(error).__name__}: {shown(str(error)[:200])}).")

    def _post(self, posted: Posted) -> None:
        self.journal.put(posted)
        try:
            failure = self._for_case(posted.case, self._send, posted)
        except ServerAway:
            # Whether it was queued is found out as after a kill.
            failure = None
        if failure is not None:
            self._write(posted, failure)
            return
        self.journal.count(posted.case)

    def _send(self, posted: Posted) -> None:
        folder = self.settings.root / posted.case
        # Deeper than the node lists folders, and new for every prompt, so that no older upload is taken for it.
        target = self._folder / posted.prompt_id[:8] / posted.case
        for path in files_to_send(folder):
            relative = path.relative_to(folder)
            self.server.upload(str(target / relative.parent.as_posix()), relative.name, folder, path)
        # The suffix says which folder it is in, whatever the case's own name ends with.
        self.server.post(self.settings.graph.filled(f"{target} [input]", posted.prefix), posted.prompt_id)

    def _look(self) -> None:
        """Ask once for everything under way. The queue comes first: ComfyUI moves prompts from there to the history."""
        running, waiting = self._patiently(self.server.queue)
        for case, posted in list(self.journal.under_way.items()):
            if posted.prompt_id in running | waiting:
                self._unknown_since.pop(case, None)
                self._stop_if_too_long(posted, posted.prompt_id in running)
                continue
            outcome = self._for_case(case, self._ended, posted)
            if outcome is not None:
                self._write(posted, outcome)
            elif time.monotonic() - self._unknown_since.setdefault(case, time.monotonic()) >= SETTLE_SECONDS:
                self._unknown_since.pop(case)
                self._recover(posted)

    def _ended(self, posted: Posted) -> Outcome | None:
        """How a prompt ended; None while the server does not know it."""
        entry = self._patiently(self.server.history, posted.prompt_id)
        return None if entry is None else read_history(entry)

    def _stop_if_too_long(self, posted: Posted, running: bool) -> None:
        limit = self.settings.timeout
        if limit is None or not running:
            return
        if time.monotonic() - self._running_since.setdefault(posted.case, time.monotonic()) >= limit:
            self._for_case(posted.case, self._patiently, self.server.cancel, posted.prompt_id)
            self._write(posted, Outcome(f"It ran longer than {limit / 60:g} minutes and was stopped."))

    def _recover(self, posted: Posted) -> None:
        """A prompt that the server does not know: it never came, or the server has been restarted."""
        found = self._for_case(posted.case, self._patiently, self._finished_videos, posted)
        if found and not isinstance(found, Outcome):
            found = Outcome(outputs=found)
        if not found and self.journal.posts.get(posted.case, 0) >= MOST_POSTS:
            found = Outcome(
                f"The server lost it {MOST_POSTS} times, perhaps because this case crashes it; look at the server's "
                "log, then run it again with --retry-failed."
            )
        if found:
            self._write(posted, found)
            return
        self.progress.say(f"{posted.case}: the server does not know it, or no longer; it is posted again.")
        # The time limit is that of each try.
        self._running_since.pop(posted.case, None)
        graph = self.settings.graph
        self._post(replace(posted, workflow=graph.sha256, seed=graph.seed))

    def _finished_videos(self, posted: Posted) -> tuple[dict[str, str], ...]:
        """The whole videos under a case's own prefixes; none unless every prefix has one."""
        found = []
        for prefix in self.settings.graph.video_prefixes(posted.prefix) or ():
            subfolder, _, stem = prefix.rpartition("/")
            number, whole = 1, None
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder, "video.mp4")
                while number <= _MOST_VIDEOS:
                    file = {"filename": f"{stem}_{number:05}_.mp4", "subfolder": subfolder, "type": "output"}
                    if not self.server.fetch(file, target):
                        break
                    whole = file if is_whole_mp4(target) else whole
                    number += 1
            if whole is None:
                return ()
            found.append(whole)
        return tuple(found)

    def _write(self, posted: Posted, outcome: Outcome) -> None:
        """Fetch what a case made, write its line and forget its prompt."""
        error, downloaded = outcome.error, []
        folder = self.settings.download
        if folder is not None and not error:
            downloaded = self._for_case(posted.case, self._download, posted.case, outcome.outputs, folder)
            if isinstance(downloaded, Outcome):
                error, downloaded = f"Its output cannot be fetched: {downloaded.error}", []
        self.results.add({
            "case": posted.case,
            "name": posted.name,
            "prompt_id": posted.prompt_id or None,
            "status": FAILED if error else DONE,
            "error": error or None,
            "outputs": list(outcome.outputs),
            "downloaded": downloaded,
            "seconds": outcome.seconds,
            "started": iso_time(outcome.started),
            "finished": iso_time(outcome.finished),
            "workflow": posted.workflow,
            "seed": posted.seed,
        })
        self.journal.drop(posted.case)
        for times in (self._running_since, self._unknown_since):
            times.pop(posted.case, None)
        self.progress.ended(self.results.lines[posted.case], len(self.results.lines))

    def _download(self, case: str, outputs: tuple[dict[str, str], ...], folder: Path) -> list[str]:
        """Fetch one output to DIR/<case>.mp4, several to DIR/<case>/1.mp4 and so on."""
        targets = []
        for number, file in enumerate(outputs, 1):
            # The name is the server's word; only the ending of a video or a picture is taken from it.
            ending = PurePosixPath(file["filename"]).suffix.lower()
            if ending not in DOWNLOADED:
                self.progress.say(
                    f"{shown(case)}: {shown(file['filename'][:100])} stays on the server, since it is neither a video "
                    "nor a picture."
                )
                continue
            name = case + ending if len(outputs) == 1 else f"{case}/{number}{ending}"
            target = folder / name
            self._patiently(self._fetch, file, target)
            targets.append(str(target))
        if not targets:
            raise LumosXError("there is neither a video nor a picture; look at the server's output folder.")
        return targets

    def _fetch(self, file: dict[str, str], target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing_durably(target) as part:
                if not self.server.fetch(file, part):
                    raise Refused(f"the server has no {shown(file['filename'])} any more.", 404)
        except OSError as error:
            raise _not_written(target.parent, error) from error
        except Stop as error:
            raise _not_written(target, error.__cause__) from error

    def _patiently(self, call: Callable[..., T], *arguments: object) -> T:
        """Repeat a call that may be repeated until the server answers, with growing pauses."""
        pause, longest = _PAUSES
        deadline = None
        while True:
            try:
                answer = call(*arguments)
            except ServerAway as away:
                now = time.monotonic()
                if deadline is None:
                    deadline = now + self.settings.wait
                    self.progress.say(
                        f"{self.server.url} does not answer ({away}); waiting for up to {self.settings.wait:g} s."
                    )
                if now >= deadline:
                    raise Stop(
                        f"server: {self.server.url} did not answer for {self.settings.wait:g} s ({away}); start it and "
                        "run the same command again, nothing is lost."
                    ) from away
                time.sleep(min(pause, deadline - now))
                pause = min(2 * pause, longest)
            else:
                if deadline is not None:
                    self.progress.say("The server is back.")
                return answer


def _not_written(target: Path, error: BaseException | None) -> LumosXError:
    """A case's own name may be what cannot be written; anything else ends the batch."""
    kind = LumosXError if getattr(error, "errno", None) in _NAME_ERRORS else Stop
    return kind(f"download: {target} cannot be written ({getattr(error, 'strerror', error)}).")

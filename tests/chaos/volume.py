"""A place whose home is a small file system of its own, which can be filled and frozen."""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

import process
from place import Place

# Room for the logs of a long run.
SIZE = "256M"


# Says that we are in a name space of our own.
APART = "IPJOB_CHAOS_APART"


def go_apart():
    """Starts this very program again in a name space of its own, where that is possible: what it mounts is seen by what it starts alone,
    and goes with the last of them, whatever happens."""
    if APART in os.environ or not Volume._run("unshare", "--mount", "true"):
        return
    os.environ[APART] = "1"
    os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])


class Volume(Place):
    """`mounted` tells whether there is such a file system: it takes root, a loop device, and a name space of our own."""

    def __enter__(self):
        super().__enter__()
        self.mounted = self._mount()
        # What is not to suffer with the home.
        self.aside = tempfile.mkdtemp(prefix="ipjob-chaos-")
        return self

    def __exit__(self, *what):
        shutil.rmtree(self.aside, ignore_errors=True)
        if self.mounted:
            self._run("fsfreeze", "--unfreeze", self.home)
            process.end(self.mark)
            self._run("umount", "--lazy", self.home)
            os.remove(self.image)
        super().__exit__(*what)

    def _mount(self):
        self.image = self.home + ".image"
        done = APART in os.environ and self._run("truncate", "--size", SIZE, self.image) \
            and self._run("mkfs.ext4", "-q", "-m", "0", self.image) and self._run("mount", "-o", "loop", self.image, self.home)
        if not done and os.path.exists(self.image):
            os.remove(self.image)
        return done

    @staticmethod
    def _run(*command):
        try:
            return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0
        except OSError:
            return False

    @contextlib.contextmanager
    def full(self):
        """No block is left."""
        path = os.path.join(self.home, "filler")
        with open(path, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                pass
        # What is less than a piece.
        with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
            while True:
                file.write(bytes(1 << 10))
        try:
            yield
        finally:
            os.remove(path)

    @contextlib.contextmanager
    def frozen(self):
        """Who writes waits."""
        subprocess.run(["fsfreeze", "--freeze", self.home], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", self.home], check=True)

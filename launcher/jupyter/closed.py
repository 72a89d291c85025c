"""Closes a Jupyter to other users where none of its options can: one address, whatever a configuration says, short names for kernels' sockets, a path
that nobody can guess before every page, no answer by a foreign name, and nothing that a look at a file of somebody else's runs or writes."""
import hashlib
import importlib
import ipaddress
import itertools
import os
import re
import socket
import stat
import sys
import threading
import urllib.parse

# Where ipjob tells the path.
PATH = "IPJOB_JUPYTER_PATH"
SERVERS = ("ServerApp", "NotebookApp")
# Programs that are Python, and what may stand before its `-m`: options without a value or with it in the same word, and with it in the next.
PYTHON = re.compile(r"(python|pypy|graalpy)[0-9.]*(t|d|-dbg)?")
OPTION = re.compile(r"-[bBdEiIOPqsSuv]+|-[WX].+")
WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
# What `python -m` does, but for the working directory. Where the user's own PYTHONPATH begins with that, ipykernel deletes the first entry, as it
# takes that for Python's: so it is there twice. Kernels that are not ipykernel's may not add the directory themselves: for them it is the last.
RUN = """\
import sys
if sys.path[:1] == ['']:
    del sys.path[0]
    from os import getcwd
    if sys.path[:1] == [getcwd()]:
        sys.path.insert(0, getcwd())
    elif not %(module)r.startswith('ipykernel'):
        sys.path.append(getcwd())
import runpy
runpy.run_module(%(module)r, run_name='__main__', alter_sys=True)
"""
# The names of this host, in small letters, as far as they are known yet.
own_names = set()


def shorten_socket_names():
    """Kernels' sockets, where they are files, are `DIR/1-2` instead of `DIR/kernel-UUID-ipc-2`, with a number of its own for every kernel
    of this Jupyter: kernels made with xeus take no name of more than 25 bytes."""
    try:
        mixin = importlib.import_module("jupyter_client.connect").ConnectionFileMixin
        write = mixin.write_connection_file
    except Exception:
        return
    numbers = itertools.count(1)

    def write_connection_file(self, *args, **kwargs):
        # As jupyter_client names them, and not the user; it is written once for all lives of a kernel.
        if self.transport == "ipc" and self.ip == os.path.splitext(self.connection_file)[0] + "-ipc":
            self.ip = os.path.join(os.path.dirname(self.connection_file), str(next(numbers)))
        return write(self, *args, **kwargs)

    mixin.write_connection_file = write_connection_file


def start_kernels_of_their_own():
    """`python -m ipykernel_launcher` looks for that module in the working directory first, which is the notebook's: whoever has made that
    directory would run code of his with the first look at a notebook in it. IPython adds the directory as ever, once it has begun."""
    for name in ("launcher", "manager", "provisioning.local_provisioner"):
        try:
            module = importlib.import_module(f"jupyter_client.{name}")
            launch = module.launch_kernel
        except Exception:
            continue

        def launch_kernel(cmd, *args, launch=launch, **kwargs):
            changed = without_directory(cmd)
            if changed is not cmd and not args:
                kwargs["env"] = without_empty_entries(kwargs.get("env"))
            return launch(changed, *args, **kwargs)

        module.launch_kernel = launch_kernel


def without_directory(cmd):
    """The same command of a kernel that is a module of Python's, without a look at the working directory. Any other stays as it is."""
    words = list(map(os.fsdecode, cmd))
    if not words or words[0] != sys.executable and not PYTHON.fullmatch(os.path.basename(words[0])):
        return cmd
    at = 1
    while at + 1 < len(words):
        if words[at] == "-m":
            return [*cmd[:at], "-c", RUN % {"module": words[at + 1]}, *cmd[at + 2 :]]
        if words[at] in WITH_VALUE:
            at += 2
        elif OPTION.fullmatch(words[at]):
            at += 1
        else:
            break
    return cmd


def without_empty_entries(env):
    """The same environment for a process. An empty entry of PYTHONPATH is the working directory (`PYTHONPATH=/x:$PYTHONPATH` leaves one), and Python
    looks there for what it needs before it runs anything."""
    path = (os.environ if env is None else env).get("PYTHONPATH", "")
    entries = path.split(os.pathsep)
    if "" not in entries or not path:
        return env
    return {**(os.environ if env is None else env), "PYTHONPATH": os.pathsep.join(filter(None, entries))}


def keep_checkpoints_apart():
    """Jupyter copies a file that is opened to `.ipynb_checkpoints` beside it, or to a place in /tmp that all can foresee, through any link: who has
    made the directory can have his file written over one of the user's. So it goes into the runtime directory, unless nobody else can
    change where it would go."""
    for name in ("jupyter_server", "notebook"):
        try:
            files = importlib.import_module(f"{name}.services.contents.filecheckpoints").FileCheckpoints
            find = files.checkpoint_path
        except Exception:
            # Jupyter tells, where it needs it.
            continue

        def checkpoint_path(self, checkpoint_id, path, find=find):
            parent, _, name = path.strip("/").rpartition("/")
            directory = self._get_os_path(path=parent)
            # A `checkpoint_dir` of the user's own can be absolute.
            place = os.path.join(directory, self.checkpoint_dir)
            # Jupyter takes the place in /tmp where it cannot write beside this one.
            if is_closed(os.path.dirname(place)) and (is_closed(place) or not os.path.lexists(place)):
                return find(self, checkpoint_id, path)
            own = os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "checkpoints", hashlib.sha256(os.fsencode(directory)).hexdigest())
            os.makedirs(own, 0o700, exist_ok=True)
            base, extension = os.path.splitext(name)
            return os.path.join(own, f"{base}-{checkpoint_id}{extension}")

        files.checkpoint_path = checkpoint_path


def is_closed(directory):
    """Whether the user can write in it, and what is in it was put there by the user, or by those whom root or the user has let in: nobody else can
    change what its path leads to, now or later (docs/design/paths.md). Groups are let in, as project directories are shared on purpose."""
    uids = trusted()
    try:
        found = os.stat(directory)
        if found.st_uid not in uids or found.st_mode & stat.S_IWOTH or not os.access(directory, os.W_OK):
            return False
        return leads_ours(os.path.join(os.getcwd(), directory), uids, above_home())
    except (OSError, ValueError):
        return False


def leads_ours(path, uids, above):
    """Whether each directory and link on the way of an absolute path that exists is the user's or root's, and no directory everybody's without being
    sticky. Whoever owns one above the home directory could replace that as well."""
    at = "/"
    for part in ("", *filter(None, path.split("/"))):
        at = os.path.join(at, part)
        found = os.lstat(at)
        is_link = stat.S_ISLNK(found.st_mode)
        if not is_link and found.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            return False
        if found.st_uid not in uids and (found.st_dev, found.st_ino) not in above:
            return False
        if is_link and not leads_ours(os.path.join(os.path.dirname(at), os.readlink(at)), uids, above):
            return False
    return True


def trusted():
    """The user and root; where a container does not have all users, also the number that it shows for the others, of whom root of the host is one."""
    uids = {0, os.geteuid()}
    try:
        with open("/proc/self/uid_map") as file:
            has_all = file.read().split() == ["0", "0", "4294967295"]
        if not has_all:
            with open("/proc/sys/kernel/overflowuid") as file:
                uids.add(int(file.read()))
    except (OSError, ValueError):
        pass
    return uids


def above_home():
    """Device and inode of each directory above the user's home directory: what those are is the administrators' choice."""
    at = os.path.realpath(os.path.expanduser("~"))
    above = set()
    while at != os.path.dirname(at):
        at = os.path.dirname(at)
        found = os.stat(at)
        above.add((found.st_dev, found.st_ino))
    return above


def stay(address, port):
    """Keeps the server at the address and the port on which ipjob listens. Argv sets both, but JupyterLab and Notebook 7 put what a file sets for
    `NotebookApp` before that: with `c.NotebookApp.ip = '*'` they would listen for everybody, and at another port nobody would find them."""
    try:
        application = importlib.import_module("traitlets.config").Application
    except Exception:
        return
    begin = application.__init__
    place = {"ip": address, "port": port, "port_retries": 0, "sock": ""}

    def init(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        if type(self).__name__ in SERVERS:
            self.observe(set_back, [name for name in place if self.has_trait(name)])

    def set_back(change):
        own = place[change["name"]]
        if change["new"] != own:
            print(f"ipjob: Jupyter's {change['name']} stays {own!r}, and is not {change['new']!r}", file=sys.stderr, flush=True)
            setattr(change["owner"], change["name"], own)

    application.__init__ = init


def hide():
    """Puts the path before every page, where the user has not set `base_url`. Browsers send a cookie to every port of its host, but only
    below its path, and Jupyter's cookies have that of `base_url`. Argv and a port are everybody's, so that the path comes by the environment."""
    path = os.environ.pop(PATH, None)
    try:
        application = importlib.import_module("traitlets.config").Application
        web = importlib.import_module("tornado.web")
    except Exception:
        return
    if path is None:
        return
    threading.Thread(target=look_up_names, name="names", daemon=True).start()
    begin, find = application.__init__, web.Application.find_handler

    def init(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        # What the user sets comes later, from files and argv.
        if type(self).__name__ in SERVERS and self.base_url == "/":
            self.base_url = path
            Gate.server = self

    @web.stream_request_body
    class Gate(web.RequestHandler):
        """What is asked for outside the path or by a foreign name: no page of Jupyter's, because those have the path in them, and no
        body is read."""

        server = None

        def initialize(self, status):
            self.status = status

        def prepare(self):
            self.set_status(self.status)
            self.set_header("Content-Type", "text/plain")
            self.set_header("Connection", "close")
            text = "no such page"
            if self.status == 403:
                text = f"this server has another name; --{type(self.server).__name__}.local_hostnames adds one"
            self.finish(f"{self.status}: {text}\n")

        def check_xsrf_cookie(self):
            # Nothing is done, and a refusal would be a line in the log.
            pass

        def _log(self):
            # Jupyter's own way takes addresses apart, and raises for some that anybody can send.
            pass

        def data_received(self, chunk):
            pass

    def find_handler(self, request, **kwargs):
        server = Gate.server
        if server is None or server.base_url != path or self.settings.get("base_url") != path:
            return find(self, request, **kwargs)
        if not request.path.startswith(path):
            return self.get_handler_delegate(request, Gate, {"status": 404})
        if not is_own_name(request.host, server):
            return self.get_handler_delegate(request, Gate, {"status": 403})
        return find(self, request, **kwargs)

    application.__init__ = init
    web.Application.find_handler = find_handler


def is_own_name(host, server):
    """Whether a request's Host may be this server's: a foreign name that leads here is how a page of somebody else's gets at it (DNS
    rebinding). An address is no name."""
    for name in SERVERS:
        if "allow_remote_access" in server.config.get(name, {}):
            # The user's own rule, which Jupyter keeps.
            return True
    try:
        name = (urllib.parse.urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        pass
    return name == "localhost" or name in map(str.lower, server.local_hostnames) or name in own_names


def look_up_names():
    """Looks the names of this host up: that may take as long as a silent name server lets it, and no request may wait for that."""
    own_names.update(name.lower() for name in (socket.gethostname(), os.environ.get("SLURMD_NODENAME")) if name)
    full = socket.getfqdn().lower()
    own_names.update((full, full.partition(".")[0]))

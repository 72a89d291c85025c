"""What processes listen on, by the kernel's own lists: a JSON list of sockets, each with who holds it.

sockets.py [PID ...]: the sockets of these processes; without any, all of this machine. Needs root's rights.
"""

import collections
import ipaddress
import json
import os
import re
import stat
import sys

LISTEN, UNCONNECTED = "0A", "07"
ACCEPTS = 0x10000
DATAGRAM = 2


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def held(pids):
    """Inode -> the processes that have it open."""
    holders = collections.defaultdict(list)
    for pid in pids:
        try:
            numbers = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        inodes = set()
        for number in numbers:
            try:
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{number}"))
            except OSError:
                continue
            if found:
                inodes.add(found[1])
        for inode in inodes:
            holders[inode].append(pid)
    return holders


def address_of(text):
    """As the kernel writes it: words of 32 bits in the machine's own order."""
    words = [bytes.fromhex(text[at : at + 8])[:: 1 if sys.byteorder == "big" else -1] for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def open_to_others(path):
    """Whether the modes let everybody connect: all directories above can be entered, and the socket be written to."""
    try:
        if not os.stat(path).st_mode & stat.S_IWOTH:
            return False
        above = os.path.dirname(path)
        while True:
            if not os.stat(above).st_mode & stat.S_IXOTH:
                return False
            if above == "/":
                return True
            above = os.path.dirname(above)
    except OSError:
        return False


def listening(pid):
    """All sockets of a process's network that take what strangers send: inode -> what is told of it."""
    found = {}
    for table, wanted in [("tcp", LISTEN), ("tcp6", LISTEN), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)]:
        for line in read(f"/proc/{pid}/net/{table}").splitlines()[1:]:
            fields = line.split()
            if fields[3] == wanted:
                address, port = fields[1].split(":")
                found[fields[9]] = {"kind": table[:3], "address": address_of(address), "port": int(port, 16)}
    for line in read(f"/proc/{pid}/net/unix").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        name = fields[7] if len(fields) > 7 else ""
        if int(fields[3], 16) & ACCEPTS or int(fields[4], 16) == DATAGRAM and name:
            found[fields[6]] = {"kind": "unix", "address": name, "open": name.startswith("@") or open_to_others(name)}
    return found


pids = sys.argv[1:] or [name for name in os.listdir("/proc") if name.isdigit()]
holders = held(pids)
networks = {}
for pid in pids:
    try:
        networks.setdefault(os.readlink(f"/proc/{pid}/ns/net"), pid)
    except OSError:
        continue
sockets = []
for pid in networks.values():
    for inode, socket in listening(pid).items():
        if sys.argv[1:] and inode not in holders:
            continue
        by = [{"pid": int(holder), "argv": read(f"/proc/{holder}/cmdline").split("\0")[:-1]} for holder in holders[inode]]
        sockets.append({"inode": inode, **socket, "holders": by})
print(json.dumps(sockets))

"""A network of simulated hosts, for tests: namespaces of the kernel, and between them a switch that this program is.

Every host has a network, a host name, an /etc/hosts and an /etc/resolv.conf of its own, and a device `net0` whose
packets come here. The TCP on both sides is the kernel's own; here a packet is passed on, late, or not at all. That
needs no modules (netem is not in every kernel), and says exactly what is lost: chance comes from a seed.

Commands are lines of JSON on stdin, each answered by one on stdout:

    {"host": NAME, "addresses": [ADDRESS...], "dead": [ADDRESS...], "files": {PATH: ITS OWN}}
                         makes one, and answers its first process; what is sent to a dead address goes nowhere
    {"link": {"from": NAME, "to": NAME, "delay": MS, "jitter": MS, "loss": 0..1, "cut": BOOL}}   one way
    {"watch": TEXT}      packets with this text in them are counted from now on
    {"counts": true}     packets that were passed on, lost, and had the text in them

Nothing is left behind: a host is a process that dies with this one, and a namespace ends with its last process.
"""
import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x00020000, 0x04000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def live_as_host(name, addresses, files):
    """Makes the namespaces of this process, and gives the device whose packets are the host's."""
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET), "unshare")
    socket.sethostname(name)
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    for path, own in files.items():
        check(libc.mount(own.encode(), os.path.realpath(path).encode(), None, MS_BIND, None), f"mount {path}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"net0", IFF_TUN | IFF_NO_PI))
    run("ip", "link", "set", "lo", "up")
    for address in addresses:
        run("ip", "address", "add", f"{address}/24", "dev", "net0")
    run("ip", "link", "set", "net0", "up")
    run("ip", "route", "add", "default", "dev", "net0")
    return device


class Network:
    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.devices = {}
        self.owners = {}
        self.links = {}
        self.late = []
        self.order = 0
        self.passed = 0
        self.lost = 0
        self.watched = None
        self.seen = 0

    def add(self, name, addresses, dead, files):
        here, there = socket.socketpair()
        me = os.getpid()
        pid = os.fork()
        if pid == 0:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != me:
                os._exit(1)
            try:
                socket.send_fds(there, [b"."], [live_as_host(name, addresses, files)])
                # The device lives as long as the switch has it open, the namespaces as long as this process.
                os.close(0)
                os.close(1)
                while True:
                    signal.pause()
            except BaseException as error:
                there.send(str(error).encode()[:500] or b"?")
            finally:
                os._exit(1)
        there.close()
        text, fds, _, _ = socket.recv_fds(here, 500, 1)
        here.close()
        if not fds:
            raise OSError(text.decode())
        os.set_blocking(fds[0], False)
        self.devices[name] = fds[0]
        for address in set(addresses) - set(dead):
            self.owners[socket.inet_aton(address)] = name
        self.selector.register(fds[0], selectors.EVENT_READ, name)
        return pid

    def take(self, name):
        """All that a host has sent."""
        device = self.devices[name]
        while True:
            try:
                packet = os.read(device, 65536)
            except BlockingIOError:
                return
            except OSError:
                # Its device is down.
                return
            to = self.owners.get(packet[16:20]) if packet[0] >> 4 == 4 else None
            if to is None:
                continue
            if self.watched is not None and self.watched in packet:
                self.seen += 1
            link = self.links.get((name, to), {})
            if link.get("cut") or self.chance.random() < link.get("loss", 0):
                self.lost += 1
                continue
            delay = link.get("delay", 0) + self.chance.random() * link.get("jitter", 0)
            if delay == 0:
                self.give(to, packet)
                continue
            self.order += 1
            heapq.heappush(self.late, (time.monotonic() + delay / 1000, self.order, name, to, packet))

    def give(self, to, packet):
        try:
            os.write(self.devices[to], packet)
            self.passed += 1
        except OSError:
            self.lost += 1

    def give_due(self):
        while self.late and self.late[0][0] <= time.monotonic():
            _, _, name, to, packet = heapq.heappop(self.late)
            if self.links.get((name, to), {}).get("cut"):
                self.lost += 1
            else:
                self.give(to, packet)

    def obey(self, command):
        if "host" in command:
            return {"pid": self.add(command["host"], command["addresses"], command["dead"], command["files"])}
        if "link" in command:
            link = command["link"]
            self.links[(link["from"], link["to"])] = link
            return {}
        if "watch" in command:
            self.watched = command["watch"].encode()
            return {}
        return {"passed": self.passed, "lost": self.lost, "seen": self.seen}

    def serve(self):
        self.selector.register(0, selectors.EVENT_READ, None)
        os.set_blocking(0, False)
        text = b""
        while True:
            wait = max(0, self.late[0][0] - time.monotonic()) if self.late else None
            for key, _ in self.selector.select(wait):
                if key.data is not None:
                    self.take(key.data)
                    continue
                read = os.read(0, 65536)
                if read == b"":
                    return
                *lines, text = (text + read).split(b"\n")
                for line in lines:
                    try:
                        answer = self.obey(json.loads(line))
                    except Exception as error:
                        answer = {"error": str(error)}
                    print(json.dumps(answer), flush=True)
            self.give_due()


Network(int(sys.argv[1])).serve()

"""A network of network namespaces whose only wire is this process: packets are delayed, lost and cut by rule.

    with Wire(4) as wire:              # 10.77.0.1 ... 10.77.0.4, each in a namespace of its own
        subprocess.Popen([*wire.enter(0), ...])
        wire.delay, wire.jitter, wire.loss = 0.02, 0.005, 0.01
        wire.cut({0, 1}, {2, 3})

Every namespace has one tun device; what it sends is read here and written to the device of the receiver. So TCP
meets real loss and reordering, without a queueing discipline of the kernel. The test itself lives at
10.77.0.254, and its packets are neither delayed nor lost. Needs root and /dev/net/tun; Wire.missing() tells why
it cannot run.
"""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
OBSERVER = 254  # the last byte of the address of the test


def call(*arguments):
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Wire:
    @staticmethod
    def missing():
        if os.geteuid() != 0:
            return "not root"
        if not os.path.exists("/dev/net/tun"):
            return "no /dev/net/tun"
        name = "cairn-probe-%d" % os.getpid()
        done = subprocess.run(["ip", "netns", "add", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            return "no network namespaces"
        subprocess.run(["ip", "netns", "del", name], check=False)
        return None

    def __init__(self, count, seed=1):
        self.count = count
        self.delay = self.jitter = self.loss = 0.0
        self.random = random.Random(seed)
        self.cuts = set()
        self.carried = self.lost = 0
        self.names = ["cairn-%d-%d" % (os.getpid(), i) for i in range(count)]
        self.files = {}
        self.thread = None
        self.stopping = False
        self.wake_read, self.wake_write = os.pipe()

    def enter(self, at):
        return ["ip", "netns", "exec", self.names[at]]

    @staticmethod
    def address(at):
        return "10.77.0.%d" % (at + 1)

    def open_tun(self, device):
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
        return file

    def __enter__(self):
        for at, name in enumerate(self.names):
            call("ip", "netns", "add", name)
            device = "ct%d-%d" % (os.getpid() % 100000, at)
            self.files[at + 1] = self.open_tun(device)
            call("ip", "link", "set", device, "netns", name)
            call("ip", "-n", name, "link", "set", "lo", "up")
            call("ip", "-n", name, "address", "add", self.address(at) + "/24", "dev", device)
            call("ip", "-n", name, "link", "set", device, "up")
        device = "ct%d-x" % (os.getpid() % 100000)
        self.files[OBSERVER] = self.open_tun(device)
        call("ip", "address", "add", "10.77.0.%d/24" % OBSERVER, "dev", device)
        call("ip", "link", "set", device, "up")
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stopping = True
        os.write(self.wake_write, b"x")
        self.thread.join()
        for file in self.files.values():
            os.close(file)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def cut(self, some, others):
        """Nothing passes between the two groups any more, in either direction."""
        self.cuts |= {(a + 1, b + 1) for a in some for b in others} | {(b + 1, a + 1) for a in some for b in others}

    def cut_one_way(self, sender, receiver):
        self.cuts.add((sender + 1, receiver + 1))

    def heal(self):
        self.cuts = set()

    def carry(self):
        waiting, order = [], 0
        back = {file: at for at, file in self.files.items()}
        while not self.stopping:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, receiver, packet = heapq.heappop(waiting)
                try:
                    os.write(self.files[receiver], packet)
                    self.carried += 1
                except OSError:
                    self.lost += 1
            timeout = min(0.1, max(0.0, waiting[0][0] - now)) if waiting else 0.1
            readable, _, _ = select.select([*back, self.wake_read], [], [], timeout)
            now = time.monotonic()
            for file in readable:
                if file == self.wake_read:
                    continue
                for _ in range(64):
                    try:
                        packet = os.read(file, 65536)
                    except BlockingIOError:
                        break
                    if packet[0] >> 4 != 4:
                        continue
                    sender, receiver = back[file], packet[19]
                    if receiver not in self.files or (sender, receiver) in self.cuts:
                        self.lost += 1
                        continue
                    due = now
                    if OBSERVER not in (sender, receiver):
                        if self.random.random() < self.loss:
                            self.lost += 1
                            continue
                        due += self.delay + self.random.random() * self.jitter
                    order += 1
                    heapq.heappush(waiting, (due, order, receiver, packet))

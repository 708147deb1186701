"""What the benches do from inside a device of the lab, whose network nobody else sees: small programs of their own."""
import json
import subprocess
import sys
import time

LOAD_LIMIT = 400  # seconds
CALL = """
import sys, urllib.request
url, body, timeout = sys.argv[1:]
request = urllib.request.Request(url, body.encode() or None, {"Content-Type": "application/json"})
try:
    print(urllib.request.urlopen(request, timeout=float(timeout)).read().decode())
except OSError:
    pass
"""
# Ends when the server says that it is ready.
WATCH = """
import sys, time, urllib.request
url, seconds = sys.argv[1:]
end = time.monotonic() + float(seconds)
while time.monotonic() < end:
    try:
        if b'"ok"' in urllib.request.urlopen(url, timeout=5).read():
            sys.exit(0)
    except OSError:
        pass
    time.sleep(0.03)
sys.exit(1)
"""


# Waits until a port is listened at, in the kernel's table: a connection would count as the RPC server's one client.
LISTENS = """
import sys, time
end = time.monotonic() + 20
while not any(line.split()[1].endswith(":%04X" % int(sys.argv[1])) and line.split()[3] == "0A"
              for table in ("tcp", "tcp6") for line in open("/proc/net/" + table).readlines()[1:]):
    if time.monotonic() > end:
        sys.exit("nobody listens at port " + sys.argv[1])
    time.sleep(0.02)
"""


def until_it_listens(lab, device, port):
    lab.run(device, [sys.executable, "-c", LISTENS, str(port)], timeout=30)


def call(lab, device, url, body=None, timeout=300):
    """An HTTP call; its body, or nothing."""
    return lab.run(device, [sys.executable, "-c", CALL, url, json.dumps(body) if body else "", str(timeout)], timeout=timeout + 10).stdout


def until_ready(lab, device, api, server, began):
    """Seconds until llama-server answers; nothing when it has ended instead. One program asks all the time: to start one for each look
    takes as long as small models load, and the processor that they load with. So it runs on another device where it can."""
    asking = device if "127.0.0.1" in api else device % lab.devices + 1
    watch = lab.popen(asking, [sys.executable, "-c", WATCH, f"{api}/health", str(LOAD_LIMIT)], stdout=subprocess.DEVNULL)
    try:
        while watch.poll() is None:
            if server.poll() is not None:
                return None
            time.sleep(0.01)
        return time.monotonic() - began if watch.returncode == 0 else None
    finally:
        watch.kill()
        watch.wait()

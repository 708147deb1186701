#!/usr/bin/env python3
"""./run lab: a command or a shell with an emulated network around it."""
import argparse
import signal
import sys

from lab import Lab, LabError, check_machine
from lab_limits import parse_bytes

MOST_DEVICES = 250  # as many as the emulator takes

EXAMPLES = """Examples:
  ./run lab run --profile wifi5 --devices 2 -- ping -c 5 10.77.0.2
  ./run lab run --devices 3 --cores 1,0.5,0.5 --memory 4G,512M,512M -- ./my-experiment.sh
  ./run lab shell --profile bad-wifi

A command runs on device 1; `on 2 COMMAND` in it runs one on device 2. Device N is 10.77.0.N.
What the profiles are: docs/lab.md."""

SHELL_HELP = """You are on device 1 (10.77.0.1) of {devices}, network {profile}. Leave with exit; all of the lab goes then.
  on 2 COMMAND...        runs it on device 2 (10.77.0.2)
  lab vanish 2           device 2 is out of range; lab freeze 2: it sleeps; lab restore 2
  lab set 2 rate=20      Mbit/s; also delay, jitter, overhead (ms), loss, retry (0 to 1), queue, aggregate (bytes)
  lab stats              what the network has carried, lost, and how late it was
  ping 10.77.0.2         or: on 2 iperf3 -s -D; iperf3 -c 10.77.0.2"""


def number_of_devices(text):
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DEVICES:
        raise argparse.ArgumentTypeError(f"'{text}' devices cannot be: 1 to {MOST_DEVICES}")
    return int(text)


def processors(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1024:  # not a number fails this too
        raise argparse.ArgumentTypeError(f"'{text}' is no share of the processors: write it as 1 or 0.5")
    return value


def size(text):
    try:
        parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def listed(convert):
    """A parser of "1,0.5,max": one value for all or one for each device; max is no limit, as in cgroups."""
    def parse(text):
        values = [None if piece == "max" else convert(piece) for piece in text.split(",")]
        return values[0] if len(values) == 1 else values
    return parse


def parse_arguments(argv):
    parser = argparse.ArgumentParser(prog="./run lab", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("run", "runs a command on device 1 and cleans up"), ("shell", "a shell on device 1")):
        command = commands.add_parser(name, help=what, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument("--profile", default="wifi5", help="the network (wifi5)")
        command.add_argument("--devices", type=number_of_devices, default=2, help="how many (2)")
        command.add_argument("--cores", type=listed(processors), help="processors of each device: 1 or 1,0.5,max")
        command.add_argument("--memory", type=listed(size), help="memory of each device: 512M or 4G,512M,max")
        command.add_argument("--seed", type=int, default=1, help="of the network's chance (1)")
        if name == "run":
            command.add_argument("argv", nargs="+", metavar="COMMAND", help="after --")
    return parser.parse_args(argv)


def terminated(*_):
    """SIGTERM and SIGHUP end us as Ctrl-C would: through the lab's exit."""
    raise KeyboardInterrupt


def wait_for(child):
    """Its exit code. Ctrl-C is the child's to obey: we stay to clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = child.wait()
    return code if code >= 0 else 128 - code


def main(argv):
    arguments = parse_arguments(argv)
    signal.signal(signal.SIGTERM, terminated)
    signal.signal(signal.SIGHUP, terminated)
    try:
        check_machine()
        with Lab(arguments.profile, arguments.devices, arguments.cores, arguments.memory, arguments.seed) as lab:
            if arguments.command == "run":
                return wait_for(lab.popen(1, arguments.argv))
            print(SHELL_HELP.format(devices=lab.devices, profile=lab.profile), file=sys.stderr)
            start = lab.folder / "bashrc"
            start.write_text("PS1='[device 1] \\w\\$ '\n")
            return wait_for(lab.popen(1, ["bash", "--rcfile", start, "-i"]))
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except FileNotFoundError as error:
        print(f"error: {error}\n  fix: install what is missing", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

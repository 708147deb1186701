"""What `caravan status` and `caravan doctor` tell of the other devices of a cluster, with causes that are created for real.

Devices are namespaces of the lab, as in devices.py.
"""
import json
import shlex
import time
import unittest

from devices import DevicesTest
from harness import BIN, wait_for

PEER_CHECKS = "peers-linked,peers-near,membership-agrees"
BATTERY = {"type": "Battery", "capacity": "73", "status": "Charging", "temp": "413", "present": "1"}


class PeersTest(DevicesTest):
    def cluster(self, count):
        phones = [self.device(number) for number in range(1, count + 1)]
        phones[0].up()
        for phone in phones[1:]:
            self.join_by_code(phones[0], phone)
        self.wait_linked(*phones)
        return phones

    def diagnose(self, phone, only=PEER_CHECKS):
        """{name: finding}, as a person on that phone would get them."""
        done = self.lab.run(phone.number, [BIN, "doctor", "--json", "--only", only], env=phone.env)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        report = json.loads(done.stdout)
        self.assertLess(report["seconds"], 20)
        return {one["name"]: one for one in report["checks"]}

    def wait_for_finding(self, phone, check, words, seconds=60):
        def found():
            finding = self.diagnose(phone)[check]
            self.last = finding
            return finding if words in finding["found"] else None

        self.last = None
        try:
            finding = wait_for(found, f"{check} on {phone.name} to say '{words}'", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.last}") from error
        self.assertIn(finding["status"], ("problem", "warning"))
        self.assertTrue(finding["why"] and finding["cure"], finding)
        return finding

    def up_with_battery(self, phone):
        """Its /sys shows a battery, as a phone's does."""
        files = " && ".join(f"echo {shlex.quote(text)} > /sys/class/power_supply/battery/{name}" for name, text in BATTERY.items())
        script = ("mount -t tmpfs none /sys/class/power_supply && mkdir /sys/class/power_supply/battery && "
                  f"{files} && exec {BIN} up -d --name {phone.name} --memory {phone.memory}")
        done = self.lab.run(phone.number, ["sh", "-c", script], env=phone.env)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_status_shows_heat_battery_rates_and_bandwidth(self):
        one, two = self.device(1), self.device(2)
        one.give(self.model)
        self.up_with_battery(one)
        self.join_by_code(one, two)
        self.wait_linked(one, two)
        seen = wait_for(lambda: (lambda d: d if "percent" in d else None)(two.device("phone-1")), "phone-1's battery", 30)
        self.assertEqual((seen["celsius"], seen["percent"], seen["charging"]), (41.3, 73, True))
        self.assertNotIn("percent", two.device("phone-2"))

        measured = wait_for(lambda: one.device("phone-2").get("bandwidth"), "the link to be measured", 60)
        self.assertGreater(measured, 0)
        self.assertLess(measured, 60e6)  # the emulated Wi-Fi carries 24 MB/s; what queues hold comes at once
        other_side = wait_for(lambda: two.device("phone-1").get("bandwidth"), "phone-2 to hear of it", 15)
        self.assertEqual(other_side, measured)
        print(f"\nmeasured: {measured / 1e6:.1f} MB/s", flush=True)

        one.caravan("serve", str(self.model), "--use", "phone-1,phone-2", "--context", "512")
        self.assertIn("Paris", two.ask())
        rates = wait_for(lambda: ((two.device("phone-1").get("rates") or {}).get("last") or {}).get("decode"), "rates", 20)
        self.assertGreater(rates, 0)
        text = two.caravan("status")
        self.assertIn("41 °C", text)
        self.assertIn("73 % ⚡", text)
        self.assertIn("tok/s in the last answer", text)
        for line in text.splitlines():
            if "phone-" in line:
                self.assertLessEqual(len(line), 80, line)
        print(text, flush=True)

    def test_the_doctor_names_a_node_that_is_not_running(self):
        one, two = self.cluster(2)
        for check in ("peers-linked", "membership-agrees"):
            self.assertEqual(self.diagnose(one)[check]["status"], "ok", check)
        two.stop()
        finding = self.wait_for_finding(one, "peers-linked", "Caravan does not run on phone-2")
        self.assertIn("10.77.0.2:7433", finding["found"])
        self.assertIn("on phone-2: caravan up", finding["cure"])
        one.stop()
        self.assertEqual(self.diagnose(one)["peers-linked"]["status"], "skipped")

    def test_the_doctor_names_a_firewall_and_what_was_tried_both_ways(self):
        one, two, three = self.cluster(3)
        # What phone-2 answers to phone-1 goes nowhere; its broadcasts still do.
        dropped = self.lab.run(2, ["ip", "route", "add", "blackhole", "10.77.0.1/32"])
        self.assertEqual(dropped.returncode, 0, dropped.stderr)
        self.wait_for_finding(one, "peers-linked", "phone-2 is there, but TCP port 7433 does not get through")
        finding = self.wait_for_finding(one, "peers-linked", "it has tried 10.77.0.1:7433")
        self.assertIn("tried 10.77.0.2:7433", finding["found"])
        self.assertTrue(any("7433" in line for line in finding["cure"]), finding)
        self.assertTrue(three.is_linked_to("phone-1", "phone-2"))

    def test_the_doctor_names_another_network(self):
        _, two = self.cluster(2)
        moved = self.lab.run(2, ["sh", "-c", "ip route del default; ip addr del 10.77.0.2/24 dev lab0 && "
                                             "ip addr add 10.88.0.2/24 brd 10.88.0.255 dev lab0"])
        self.assertEqual(moved.returncode, 0, moved.stderr)
        finding = self.wait_for_finding(two, "peers-linked", "phone-1 is on another network")
        self.assertIn("10.77.0.1/24 there, 10.88.0.2/24 here", finding["found"])

    def test_the_doctor_names_devices_that_are_far_away(self):
        self.lab.set(delay=20)
        one, _ = self.cluster(2)
        finding = self.wait_for_finding(one, "peers-near", "messages take long to come back from phone-2")
        self.assertEqual(finding["status"], "warning")

    def test_the_doctor_names_a_device_that_cannot_keep_the_membership(self):
        one, two = self.cluster(2)
        # A folder in its place: what phone-1 changes cannot be written there.
        (two.home / "membership.json").unlink()
        (two.home / "membership.json").mkdir()
        one.caravan("rename", "phone-2", "tablet")
        finding = self.wait_for_finding(one, "membership-agrees", "tablet holds version")
        self.assertTrue(any("on tablet: caravan doctor" in line for line in finding["cure"]), finding)
        two_says = self.wait_for_finding(two, "membership-agrees", "phone-1 holds version")
        self.assertTrue(any(line.startswith("here: caravan doctor") for line in two_says["cure"]), two_says)

    def test_the_whole_doctor_is_done_in_time(self):
        one, two = self.cluster(2)
        two.kill()
        began = time.monotonic()
        done = self.lab.run(1, [BIN, "doctor", "--json"], env=one.env)
        self.assertLess(json.loads(done.stdout)["seconds"], 20)
        print(f"\nthe whole doctor: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    unittest.main()

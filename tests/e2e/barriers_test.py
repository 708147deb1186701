"""What stands between devices in homes, made for real: an access point that keeps its clients apart, a hotspot that lets nobody
connect to it, a router with NAT. What the doctor says about each, and that links work in the one direction that is left.

Devices are namespaces of the lab, as in devices.py; the kernel's own packet filter plays access point, phone and router.
"""
import json
import unittest

from devices import DevicesTest
from harness import BIN, wait_for
from lab import Lab

ROUTER = 1  # answers at its address and is in no cluster; the phones are 2, 3...
LINK_PORT = 7433


class BarriersTest(DevicesTest):
    def setUp(self):
        self.lab = Lab(profile="wifi5", devices=5)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)

    def sh(self, device, script):
        done = self.lab.run(device, ["sh", "-ec", script])
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stderr}")

    def filter(self, device, rule):
        """One more rule for what arrives there."""
        self.sh(device, "nft add table ip barrier && nft add chain ip barrier arrives '{ type filter hook input priority 0; }' && "
                        f"nft add rule ip barrier arrives {rule}")

    def pair(self, *numbers):
        phones = [self.device(number) for number in numbers]
        phones[0].up()
        self.join_by_code(*phones)
        self.wait_linked(*phones)
        return phones

    def doctor_says(self, phone, words, status="problem", seconds=60):
        """The finding about the links, once it has these words."""
        def found():
            done = self.lab.run(phone.number, [BIN, "doctor", "--json", "--only", "peers-linked"], env=phone.env)
            self.said = json.loads(done.stdout)["checks"][0]
            return self.said if words in self.said["found"] else None

        self.said = None
        try:
            finding = wait_for(found, f"the doctor on {phone.name} to say '{words}'", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.said}") from error
        self.assertEqual(finding["status"], status)
        if status != "ok":
            self.assertTrue(finding["why"] and finding["cure"], finding)
        return finding

    def test_an_access_point_that_keeps_its_clients_apart(self):
        two, three = self.pair(2, 3)
        for phone, other in ((two, three), (three, two)):
            self.filter(phone.number, f"ip saddr {self.lab.address(other.number)} drop")
        for phone, other in ((two, three), (three, two)):
            finding = self.doctor_says(phone, f"the access point keeps this device and {other.name} apart")
            self.assertTrue(any("AP isolation" in line for line in finding["cure"]), finding)
        self.sh(2, "nft delete table ip barrier")
        self.sh(3, "nft delete table ip barrier")
        self.wait_linked(two, three)

    def test_a_hotspot_that_lets_nobody_connect_to_it(self):
        # The interface of a phone's own hotspot has a name of its own.
        self.sh(2, "ip link set lab0 down; ip link set lab0 name ap0; ip link set ap0 up; ip route add default dev ap0")
        two, three = self.pair(2, 3)
        for number in (2, 3):
            self.filter(number, f"tcp dport {LINK_PORT} tcp flags syn / syn,ack drop")
        self.lab.vanish(3)  # away for a moment: the link they had is gone
        wait_for(lambda: not two.is_linked_to("phone-3") and not three.is_linked_to("phone-2"), "the link to end", 30)
        self.lab.restore(3)
        self.doctor_says(three, "phone-2 is the hotspot that the other has joined, and it lets nobody connect to it")
        finding = self.doctor_says(two, "this device is the hotspot that the other has joined")
        self.assertTrue(any("router instead of a hotspot" in line for line in finding["cure"]), finding)
        self.sh(3, "nft delete table ip barrier")  # now the hotspot can connect, as the cure says
        self.wait_linked(two, three)

    def hide_behind_router(self, device, router):
        """A router with NAT of its own between a device and the Wi-Fi; it has no address there any more."""
        inside = self.lab.namespace(device)
        self.sh(device, "ip link set lab0 down")
        self.sh(router, f"ip link add lan0 type veth peer name wlan0 netns {inside} && ip addr add 192.168.9.1/24 dev lan0 && "
                        "ip link set lan0 up && echo 1 > /proc/sys/net/ipv4/ip_forward && nft add table ip home && "
                        "nft add chain ip home leaving '{ type nat hook postrouting priority 100; }' && "
                        "nft add rule ip home leaving oifname lab0 masquerade")
        self.sh(device, "ip addr add 192.168.9.2/24 brd 192.168.9.255 dev wlan0 && ip link set wlan0 up && "
                        "ip route add default via 192.168.9.1")

    def test_a_network_without_beacons(self):
        phones = [self.device(number) for number in (2, 3, 4)]
        for phone in phones:
            self.filter(phone.number, f"udp dport {LINK_PORT} drop")
        phones[0].up()
        for phone in phones[1:]:
            self.join_by_code(phones[0], phone)
        self.wait_linked(*phones)  # each with each: who joined hears of the others where it has joined
        self.assertEqual(phones[1].view()["neighbours"], [])
        for phone in phones:
            phone.stop()
        for phone in phones:
            phone.up()
        self.wait_linked(*phones)

    def test_a_device_behind_a_router_of_its_own_joins_works_and_is_told_apart(self):
        self.hide_behind_router(device=5, router=4)
        two, five = self.device(2), self.device(5)
        two.give(self.model)
        two.up()
        self.join_by_code(two, five)
        self.wait_linked(two, five)
        self.assertTrue(two.device("phone-5")["address"].startswith("10.77.0.4"), two.device("phone-5"))
        # Tunnels are dialled by who can; master here, master there.
        two.caravan("serve", str(self.model), "--use", "phone-2,phone-5", "--context", "512")
        self.assertEqual(two.device("phone-5")["role"], "worker")
        answer = two.ask()
        self.assertIn("Paris", answer)
        self.assertEqual(five.ask(), answer)
        self.doctor_says(two, "phone-5", status="ok")
        # The router breaks down.
        self.sh(4, "nft add chain ip home passing '{ type filter hook forward priority 0; policy drop; }'")
        finding = self.doctor_says(two, "a router stands between this device and phone-5")
        self.assertIn("it comes from 10.77.0.4, but has 192.168.9.2/24", finding["found"])
        self.assertTrue(any("join --peer" in line for line in finding["cure"]), finding)
        self.sh(4, "nft delete chain ip home passing")
        self.wait_linked(two, five)


if __name__ == "__main__":
    unittest.main()

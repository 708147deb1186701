"""Several replicas: a conversation is answered where its prompt is still in the cache, and conversations spread."""
import json
import sys
import unittest

from devices import MODEL, DevicesTest
from harness import DEADLINE, wait_for

ASK = ("import json,sys,urllib.request\n"
       "r=urllib.request.Request('http://127.0.0.1:8080/v1/chat/completions',sys.argv[1].encode(),"
       "{'Content-Type':'application/json'})\n"
       "print(urllib.request.urlopen(r,timeout=100).read().decode())")


class ReplicasTest(DevicesTest):
    def ask(self, phone, messages):
        """(text, tokens of the prompt that were in the cache, tokens that were computed), as the engine counts them."""
        question = {"messages": messages, "temperature": 0, "max_tokens": 8}
        done = self.lab.run(phone.number, [sys.executable, "-c", ASK, json.dumps(question)], timeout=DEADLINE)
        self.assertEqual(done.returncode, 0, done.stderr + phone.log())
        answer = json.loads(done.stdout)
        timings = answer["timings"]
        return answer["choices"][0]["message"]["content"], timings["cache_n"], timings["prompt_n"]

    def test_two_conversations_keep_their_caches_on_two_replicas(self):
        phones = [self.device(number) for number in (1, 2)]
        for phone in phones:
            phone.give(self.model)
        phones[0].up()
        self.join_by_code(phones[0], phones[1])
        self.wait_linked(*phones)
        wait_for(lambda: phones[0].device("phone-2").get("models"), "phone-2's models to be known", 30)
        phones[0].caravan("serve", MODEL, "--for", "throughput", "--parallel", "2", "--context", "1024")
        self.assertEqual([one["role"] for one in phones[0].view()["devices"]], ["master", "master"])
        told = {name: [{"role": "user", "content": f"{name}. " + f"The {name} was seen near the river at noon. " * 30}]
                for name in ("heron", "otter")}
        first, later = [], []
        for turn in range(3):
            for name, messages in told.items():
                text, cached, computed = self.ask(phones[0], messages)
                (first if turn == 0 else later).append((cached, computed))
                messages += [{"role": "assistant", "content": text}, {"role": "user", "content": f"Go on, {turn}."}]
        print(f"\n(cached, computed): first {first}, later {later}", flush=True)
        for cached, computed in first:
            self.assertGreater(computed, 100)
        for cached, computed in later:
            self.assertGreater(cached, 100)
            self.assertGreater(cached, computed)


if __name__ == "__main__":
    unittest.main()

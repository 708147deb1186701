// lab_net: the network of a lab as a program. Whoever starts it has made the namespaces and gives them
// addresses.
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "lab/emulator.h"
#include "lab/route.h"
#include "lab/tun.h"

namespace caravan::lab {
namespace {

constexpr int kOrphaned = 3;
constexpr const char* kExamples = R"(Examples:
  ip netns add a; ip netns add b
  lab_net run --profile wifi5 --socket /tmp/lab.sock a b      10.77.0.1 and 10.77.0.2 on lab0, once it says "ready"
  lab_net ctl --socket /tmp/lab.sock vanish 2                 freeze 2, restore 2, stats, stop
  lab_net ctl --socket /tmp/lab.sock set 2 rate=20 delay=10   Mbit/s and ms; jitter, loss, retry, overhead, queue too)";

struct Arguments {
  std::string profile = "wifi5";
  std::string socket;
  std::uint64_t seed = 1;
  std::vector<std::string> words;  ///< namespaces, or a command
};

int print(const Error& error) {
  fmt::print(stderr, "error: {}\n  fix: {}\n", error.message, error.hint.empty() ? "see above" : error.hint);
  return exit_code_of(error.code);
}

Error failed(const std::string& what, std::string hint) {
  return {Code::unavailable, fmt::format("{}: {}", what, std::generic_category().message(errno)),
          std::move(hint)};
}

/// A SOCK_SEQPACKET socket, and the address of `path`.
Result<Descriptor> make_socket(const std::string& path, sockaddr_un& address) {
  if (path.size() >= sizeof(address.sun_path)) {
    return Error{Code::invalid, fmt::format("the socket's path is too long: {}", path), "use a shorter one"};
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Descriptor made(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (made.get() < 0) return failed("cannot make a socket", "");
  return made;
}

Result<Descriptor> listen_on(const std::string& path) {
  sockaddr_un address{};
  Result<Descriptor> made = make_socket(path, address);
  if (!made) return made;
  if (::bind(made->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(made->get(), 8) != 0) {
    return failed(fmt::format("cannot listen on {}", path), "give a path that nothing is at");
  }
  return made;
}

Result<std::string> ask(const std::string& path, const std::string& line) {
  sockaddr_un address{};
  const Result<Descriptor> made = make_socket(path, address);
  if (!made) return made.error();
  const timeval deadline{.tv_sec = 10, .tv_usec = 0};
  std::string answer(1U << 16U, '\0');
  ssize_t bytes = -1;
  if (::setsockopt(made->get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) == 0 &&
      ::connect(made->get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(made->get(), line.data(), line.size(), MSG_NOSIGNAL) >= 0) {
    bytes = ::recv(made->get(), answer.data(), answer.size(), 0);
  }
  if (bytes < 0) return failed(fmt::format("no answer from the lab at {}", path), "is it still running?");
  answer.resize(static_cast<std::size_t>(bytes));
  return answer;
}

/// What is measured keeps the processors busy; the network must be on time all the same, and needs little.
void hurry() {
  const sched_param first{.sched_priority = 1};
  constexpr int kNice = -15;  // where real-time scheduling is not allowed
  if (::sched_setscheduler(0, SCHED_FIFO, &first) != 0) (void)::setpriority(PRIO_PROCESS, 0, kNice);
}

int run(const Arguments& arguments) {
  const Profile* profile = find_profile(arguments.profile);
  if (profile == nullptr) return print(no_such_profile(arguments.profile));
  if (arguments.words.size() > kMaxStations) {
    return print({Code::invalid, fmt::format("{} are too many stations", arguments.words.size()),
                  fmt::format("at most {}", kMaxStations)});
  }
  std::vector<Descriptor> tuns;
  for (const std::string& name : arguments.words) {
    Result<Descriptor> tun = open_tun(name);
    if (!tun) return print(tun.error());
    tuns.push_back(std::move(*tun));
  }
  Result<Descriptor> control = listen_on(arguments.socket);
  if (!control) return print(control.error());
  hurry();
  Medium medium(profile->topology, profile->link, tuns.size(), arguments.seed);
  Emulator emulator(std::move(tuns), std::move(*control), std::move(medium));
  fmt::print("ready\n");
  (void)std::fflush(stdout);
  const Result<Ended> ended = emulator.run();
  (void)::unlink(arguments.socket.c_str());
  if (!ended) return print(ended.error());
  return *ended == Ended::stopped ? 0 : kOrphaned;
}

int control(const Arguments& arguments) {
  const Result<std::string> answer = ask(arguments.socket, join(arguments.words, " "));
  if (!answer) return print(answer.error());
  const bool refused = answer->starts_with("error");
  fmt::print(refused ? stderr : stdout, "{}\n", *answer);
  return refused ? 2 : 0;
}

int list_profiles() {
  for (const Profile& profile : profiles()) fmt::print("{:<14}{}\n", profile.name, profile.what);
  return 0;
}

}  // namespace
}  // namespace caravan::lab

int main(int argc, char** argv) {
  using namespace caravan::lab;
  Arguments arguments;
  CLI::App app(
      "The network of a lab: carries packets between network namespaces as Wi-Fi or a switch would.");
  app.footer(kExamples);
  app.require_subcommand(1);
  CLI::App* start =
      app.add_subcommand("run", "carries packets until it is stopped or standard input is closed");
  start->add_option("--profile", arguments.profile, "one of those that `lab_net profiles` lists")
      ->capture_default_str();
  start->add_option("--socket", arguments.socket, "where its control socket is made")->required();
  start->add_option("--seed", arguments.seed, "of everything that is left to chance")->capture_default_str();
  start->add_option("namespaces", arguments.words, "of device 1, 2...")->required();
  CLI::App* talk = app.add_subcommand("ctl", "changes a running network, or asks for its figures");
  talk->add_option("--socket", arguments.socket, "of the running one")->required();
  talk->add_option("command", arguments.words, "e.g. vanish 2")->required();
  app.add_subcommand("profiles", "lists the networks that it knows");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (start->parsed()) return run(arguments);
  return talk->parsed() ? control(arguments) : list_profiles();
}

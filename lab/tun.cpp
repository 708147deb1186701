#include "lab/tun.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace caravan::lab {
namespace {

Error failed(const std::string& what, std::string hint) {
  return {Code::unavailable, fmt::format("{}: {}", what, std::generic_category().message(errno)),
          std::move(hint)};
}

Result<Descriptor> make_tun() {
  Descriptor tun(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (tun.get() < 0) {
    return failed("cannot open /dev/net/tun",
                  "a kernel with CONFIG_TUN, the device file, and root are needed");
  }
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, kTunName, IFNAMSIZ - 1);
  if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) {
    return failed("cannot make a TUN device", "CAP_NET_ADMIN is needed: run it as root");
  }
  return tun;
}

}  // namespace

Result<Descriptor> open_tun(const std::string& name_space) {
  const Descriptor home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const Descriptor target(::open(fmt::format("/run/netns/{}", name_space).c_str(), O_RDONLY | O_CLOEXEC));
  if (home.get() < 0 || target.get() < 0) {
    return failed(fmt::format("cannot open network namespace {}", name_space), "ip netns add makes one");
  }
  if (::setns(target.get(), CLONE_NEWNET) != 0) {
    return failed(fmt::format("cannot enter network namespace {}", name_space),
                  "CAP_SYS_ADMIN is needed: run it as root");
  }
  Result<Descriptor> tun = make_tun();
  if (::setns(home.get(), CLONE_NEWNET) != 0)
    return failed("cannot leave a network namespace again", "run it as root");
  return tun;
}

}  // namespace caravan::lab

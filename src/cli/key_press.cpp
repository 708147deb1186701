#include "cli/key_press.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

/// Files, pipes and terminals can all be polled, but not all be waited for by the event loop.
constexpr std::chrono::milliseconds kLook{50};

/// Keys come one by one, while this exists.
class RawTerminal {
 public:
  RawTerminal() : is_terminal_(::isatty(STDIN_FILENO) != 0 && ::tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!is_terminal_) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  ~RawTerminal() {
    if (is_terminal_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_{};
  bool is_terminal_;
};

}  // namespace

asio::awaitable<char> next_key() {
  const RawTerminal raw;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (;;) {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, 0) > 0) {
      char key = 0;
      if (::read(STDIN_FILENO, &key, 1) != 1) co_return '\0';
      if (key != '\n' && key != '\r' && key != ' ') co_return key;
      continue;
    }
    timer.expires_after(kLook);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return '\0';
  }
}

}  // namespace caravan::cli

// Lets coroutines of one event loop wait until something has changed.
#pragma once

#include <cstdint>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace caravan::engine {

namespace asio = boost::asio;

/// A counter that can be awaited. No change is missed: a waiter says which one it has seen. Not for several
/// threads.
class Change {
 public:
  explicit Change(const asio::any_io_executor& executor)
      : timer_(executor, asio::steady_timer::time_point::max()) {}

  std::uint64_t count() const { return count_; }
  asio::any_io_executor executor() { return timer_.get_executor(); }

  void notify() {
    ++count_;
    timer_.cancel();
  }

  /// Completes when count() is past `seen`. Cancellable. The owner keeps this alive.
  asio::awaitable<void> past(std::uint64_t seen) {
    // The timer never expires: notify() cancels it. When it is the coroutine that is cancelled, the next wait
    // throws.
    while (count_ <= seen) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }

 private:
  std::uint64_t count_ = 0;
  asio::steady_timer timer_;
};

}  // namespace caravan::engine

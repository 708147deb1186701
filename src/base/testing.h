// A coroutine as the body of a test.
#pragma once

#include <chrono>
#include <exception>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

namespace caravan {

/// Runs `body` with a new Bench, on its `loop` (an io_context), to its end; half a minute at most: then the
/// test fails with `hangs`.
template <typename Bench>
void run_to_end(boost::asio::awaitable<void> (*body)(Bench&), const char* hangs) {
  Bench bench;
  bool finished = false;
  boost::asio::co_spawn(bench.loop, body(bench), [&](const std::exception_ptr& failure) {
    EXPECT_FALSE(failure);
    finished = true;
    bench.loop.stop();
  });
  bench.loop.run_for(std::chrono::seconds(30));
  EXPECT_TRUE(finished) << hangs;
}

}  // namespace caravan

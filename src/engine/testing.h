// Helpers for this folder's tests.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/files.h"
#include "base/text.h"
#include "base/units.h"

namespace caravan::engine::testing_support {

inline constexpr std::chrono::seconds kDeadline{20};

/// Runs `body` on the loop until it has ended; a test that waits in vain fails.
inline void run(boost::asio::io_context& loop, boost::asio::awaitable<void> body) {
  bool finished = false;
  boost::asio::co_spawn(loop, std::move(body), [&](const std::exception_ptr& failure) {
    EXPECT_FALSE(failure);
    finished = true;
    loop.stop();
  });
  loop.restart();
  loop.run_for(kDeadline);
  ASSERT_TRUE(finished) << "still waiting after " << kDeadline.count() << " s";
}

/// What a real program of the engine wrote, from testdata/NAME.txt.
inline std::string recorded(const std::string& name) {
  const fs::path path = fs::path(CARAVAN_SOURCE_DIR) / "src" / "engine" / "testdata" / (name + ".txt");
  const auto text = read_file(path, mebibytes(1));
  EXPECT_TRUE(text.ok()) << path;
  return text.ok() ? *text : "";
}

inline std::vector<std::string> recorded_lines(const std::string& name) {
  return split(recorded(name), '\n');
}

/// Writes a shell script that may be run.
inline void write_script(const fs::path& path, const std::string& text) {
  const std::string shell = fs::exists("/bin/sh") ? "/bin/sh" : "/system/bin/sh";
  ASSERT_TRUE(write_file_atomically(path, "#!" + shell + "\n" + text, 0700).ok());
}

}  // namespace caravan::engine::testing_support

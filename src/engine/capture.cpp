#include "engine/capture.h"

#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/units.h"

namespace caravan::engine {

asio::awaitable<Result<Captured>> capture(asio::any_io_executor executor, SpawnSpec spec,
                                          std::chrono::milliseconds timeout) {
  using namespace asio::experimental::awaitable_operators;
  Captured captured;
  const auto take = [&captured](std::string_view line) {
    captured.output.add(line);
    if (const auto event = parse_engine_line(line)) {
      if (const auto* trouble = std::get_if<Trouble>(&*event)) captured.output.add_trouble(*trouble);
    }
    if (captured.text.size() + line.size() < kMaxCapturedBytes) captured.text.append(line).append("\n");
  };
  auto process = Process::start(executor, spec, take);
  if (!process) co_return process.error();
  asio::steady_timer deadline(executor, timeout);
  const auto first =
      co_await ((*process)->wait() || deadline.async_wait(asio::as_tuple(asio::use_awaitable)));
  if (const auto* status = std::get_if<ExitStatus>(&first)) {
    captured.status = *status;
    co_return captured;
  }
  co_return Error{Code::unavailable,
                  fmt::format("{} has not ended within {}", spec.program.string(), format_duration(timeout)),
                  ""};
}

}  // namespace caravan::engine

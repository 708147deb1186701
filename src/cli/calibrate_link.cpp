#include "cli/calibrate_link.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "cli/print.h"
#include "link/measure.h"

namespace caravan::cli {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::chrono::seconds kAtMost{60};
constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);

Result<tcp::endpoint> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  std::string_view host = colon == std::string_view::npos ? "127.0.0.1" : text.substr(0, colon);
  const std::string_view port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), number);
  boost::system::error_code no_address;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, no_address);
  if (no_address || failure != std::errc() || end != port.data() + port.size()) {
    return Error{Code::invalid, fmt::format("'{}' is no address", text), "write it like 192.168.1.20:7440"};
  }
  return tcp::endpoint(address, number);
}

/// What one side of a link did, and a timer that ends it by closing its sockets.
struct Side {
  asio::io_context loop{1};
  tcp::acceptor acceptor{loop};
  tcp::socket socket{loop};
  asio::steady_timer limit{loop, kAtMost};
  bool too_late = false;
  std::optional<Error> error;
  std::optional<link::LinkSpeed> speed;

  void run(asio::awaitable<void> body) {
    limit.async_wait([this](const boost::system::error_code& cancelled) {
      if (cancelled) return;
      too_late = true;
      boost::system::error_code ignored;
      (void)acceptor.close(ignored);
      (void)socket.close(ignored);
    });
    asio::co_spawn(loop, std::move(body), [this](const std::exception_ptr& failure) {
      limit.cancel();
      if (failure) std::rethrow_exception(failure);
    });
    loop.run();
  }
};

asio::awaitable<void> answer(Side& side) {
  auto [failure] = co_await side.acceptor.async_accept(side.socket, kUseResult);
  boost::system::error_code ignored;
  (void)side.acceptor.close(ignored);  // one device, no more
  if (failure) {
    side.error = Error{Code::unavailable, side.too_late ? "no device came within 60 s" : failure.message(),
                       "`caravan calibrate --link HOST:PORT` on the other device connects to this one"};
    co_return;
  }
  const auto answered = co_await link::answer_measuring(side.socket, link::MeasureLimits());
  if (!answered.ok()) side.error = answered.error();
}

asio::awaitable<void> ask(Side& side, tcp::endpoint address) {
  auto [failure] = co_await side.socket.async_connect(address, kUseResult);
  if (failure) {
    side.error = Error{Code::unavailable, fmt::format("cannot connect: {}", failure.message()),
                       "`caravan calibrate --link-listen HOST:PORT` on the other device waits for this one"};
    co_return;
  }
  const auto measured = co_await link::measure_link(side.socket, link::MeasureLimits());
  if (!measured.ok()) {
    side.error = measured.error();
  } else {
    side.speed = *measured;
  }
}

}  // namespace

std::string describe(const link::LinkSpeed& speed) {
  return fmt::format("round trip {:.2f} ms (95 %: {:.2f} ms), {:.1f} MB/s there, {:.1f} MB/s back",
                     speed.round_trip_median.count() * 1e3, speed.round_trip_p95.count() * 1e3,
                     speed.upload * 1e-6, speed.download * 1e-6);
}

int listen_for_link(const std::string& address) {
  const auto endpoint = parse_address(address);
  if (!endpoint) return print_error(endpoint.error());
  Side side;
  boost::system::error_code failure;
  (void)side.acceptor.open(endpoint->protocol(), failure);
  if (!failure) (void)side.acceptor.bind(*endpoint, failure);
  if (!failure) (void)side.acceptor.listen(1, failure);
  if (failure) {
    return print_error({Code::unavailable, fmt::format("cannot listen on {}: {}", address, failure.message()),
                        "choose an address of this device and another port"});
  }
  const tcp::endpoint bound = side.acceptor.local_endpoint(failure);
  fmt::print(stderr, "waiting for one device on {}:{}, for at most 60 s\n", bound.address().to_string(),
             bound.port());
  side.run(answer(side));
  if (side.error) return print_error(*side.error);
  fmt::print("measured: the other device has the figures\n");
  return 0;
}

int measure_link_to(const std::string& address, bool json) {
  const auto endpoint = parse_address(address);
  if (!endpoint) return print_error(endpoint.error());
  Side side;
  side.run(ask(side, *endpoint));
  if (side.error) return print_error(*side.error, json);
  if (json) {
    fmt::print("{}\n", dump_json(link::to_json(*side.speed)));
  } else {
    fmt::print("{}\n", describe(*side.speed));
  }
  return 0;
}

}  // namespace caravan::cli

#include "app/link_measurer.h"

#include <algorithm>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "link/measure.h"

namespace caravan::app {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto kUseResult = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::milliseconds kLook{1'000};    ///< between two looks whether something is due
constexpr std::chrono::milliseconds kVisit{10'000};  ///< for who was told the port to come
/// A slow link needs little to be measured, and what was sent into its queues has to be waited for.
constexpr Bytes kFirst{std::uint64_t{256} << 10U};
constexpr Bytes kMost{std::uint64_t{3} << 20U};
constexpr double kSecondTime = 0.5;  ///< seconds that the second measurement of a fast link may take
constexpr int kConversations = 2;

link::MeasureLimits limits_of(Bytes bytes) {
  link::MeasureLimits limits;
  limits.round_trips = 3;
  limits.bandwidth_time = std::chrono::milliseconds(400);
  limits.bandwidth_bytes = bytes;
  limits.patience = std::chrono::milliseconds(3'000);
  limits.at_most = std::chrono::milliseconds(6'000);
  return limits;
}

Error refused() { return {Code::unavailable, "something else goes on, or it was measured a moment ago", ""}; }

}  // namespace

struct LinkMeasurer::Inner : std::enable_shared_from_this<LinkMeasurer::Inner> {
  Inner(asio::any_io_executor loop, const std::string& self, LinkMeasurerPort around)
      : executor(loop), port(std::move(around)), schedule(self) {}

  asio::awaitable<Result<cluster::MeasuredLink>> measure(std::string device);
  static asio::awaitable<void> serve(std::shared_ptr<Inner> inner, std::shared_ptr<tcp::acceptor> acceptor);
  void look(TimePoint now) {
    if (!port.is_quiet()) schedule.disturbed(now);
  }

  asio::any_io_executor executor;
  LinkMeasurerPort port;
  link::MeasureSchedule schedule;
  bool closed = false;
};

/// The first conversation tells how much a second, better one can move in its time.
asio::awaitable<Result<cluster::MeasuredLink>> LinkMeasurer::Inner::measure(std::string device) {
  const auto self = shared_from_this();
  const auto tunnel = port.tunnel(device);
  if (!tunnel) co_return tunnel.error();
  tcp::socket socket(executor);
  const tcp::endpoint near(asio::ip::address_v4::loopback(), (*tunnel)->local_port());
  auto [failure] = co_await socket.async_connect(near, kUseResult);
  if (failure) co_return Error{Code::disconnected, failure.message(), ""};
  const link::MeasureLimits first = limits_of(kFirst);
  auto speed = co_await link::measure_link(socket, first);
  if (!speed) co_return speed.error();
  const double slower = std::min(speed->upload, speed->download);
  const double more = std::min(slower * kSecondTime, static_cast<double>(kMost.count));
  if (more > 2 * static_cast<double>(kFirst.count)) {
    const link::MeasureLimits second = limits_of(Bytes{static_cast<std::uint64_t>(more)});
    auto better = co_await link::measure_link(socket, second);
    if (!better) co_return better.error();
    speed = std::move(better);
  }
  co_return cluster::MeasuredLink{std::move(device), speed->upload, speed->download};
}

asio::awaitable<void> LinkMeasurer::Inner::serve(std::shared_ptr<Inner> inner,
                                                 std::shared_ptr<tcp::acceptor> acceptor) {
  asio::steady_timer visit(inner->executor, kVisit);
  visit.async_wait([acceptor](const boost::system::error_code& cancelled) {
    boost::system::error_code ignored;
    if (!cancelled) (void)acceptor->close(ignored);
  });
  tcp::socket socket(inner->executor);
  auto [failure] = co_await acceptor->async_accept(socket, kUseResult);
  visit.cancel();
  boost::system::error_code ignored;
  (void)acceptor->close(ignored);
  for (int i = 0; !failure && i < kConversations; ++i) {
    const link::MeasureLimits limits = limits_of(kMost);
    const auto answered = co_await link::answer_measuring(socket, limits);
    if (!answered) break;
  }
  inner->schedule.answered();
}

LinkMeasurer::LinkMeasurer(asio::any_io_executor executor, const std::string& self, LinkMeasurerPort port)
    : inner_(std::make_shared<Inner>(executor, self, std::move(port))) {}

LinkMeasurer::~LinkMeasurer() { inner_->closed = true; }

void LinkMeasurer::linked(const std::string& device) { inner_->schedule.linked(device, Clock::now()); }
void LinkMeasurer::lost(const std::string& device) { inner_->schedule.lost(device); }
void LinkMeasurer::forget(const std::string& device) { inner_->schedule.forget(device); }

Result<std::uint16_t> LinkMeasurer::answer(const std::string& device) {
  const TimePoint now = Clock::now();
  inner_->look(now);
  if (!inner_->schedule.answer(device, now)) return refused();
  auto acceptor = std::make_shared<tcp::acceptor>(inner_->executor);
  boost::system::error_code failure;
  (void)acceptor->open(tcp::v4(), failure);
  if (!failure) (void)acceptor->bind({asio::ip::address_v4::loopback(), 0}, failure);
  if (!failure) (void)acceptor->listen(1, failure);
  const tcp::endpoint bound = failure ? tcp::endpoint() : acceptor->local_endpoint(failure);
  if (failure) {
    inner_->schedule.answered();
    return Error{Code::exhausted, "cannot listen: " + failure.message(), ""};
  }
  asio::co_spawn(inner_->executor, Inner::serve(inner_, std::move(acceptor)), asio::detached);
  return bound.port();
}

asio::awaitable<void> LinkMeasurer::run() {
  const auto inner = inner_;
  asio::steady_timer timer(inner->executor);
  for (;;) {
    timer.expires_after(kLook);
    co_await timer.async_wait(kUseResult);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (inner->closed || state.cancelled() != asio::cancellation_type::none) co_return;
    inner->look(Clock::now());
    const auto device = inner->schedule.next(Clock::now());
    if (!device) continue;
    std::string measured_device = *device;
    const auto link = co_await inner->measure(std::move(measured_device));
    inner->schedule.done(*device, link.ok(), Clock::now());
    if (link) inner->port.measured(*link);
  }
}

}  // namespace caravan::app

#include "app/pairing_desk.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "app/joining.h"
#include "link/link.h"

namespace caravan::app {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kPatience{60};

/// An owner's device that lets others in, over real loopback sockets.
struct PairingDeskTest : testing::Test {
  TemporaryFolder folder = TemporaryFolder::make("pairing").value();
  asio::io_context loop;
  Roster roster = std::move(Roster::open(folder.path() / "owner", "owner", "home")).value();
  PairingDesk desk{loop.get_executor(), roster};
  std::unique_ptr<link::Link> door;

  void SetUp() override {
    link::LinkOwner owner;
    owner.judge = [this](const link::PublicKey&) {
      return desk.is_open() ? link::Standing::stranger : link::Standing::refused;
    };
    owner.hello = []() { return link::Hello(); };
    owner.target = [](const std::string&, const std::string&) -> Result<std::uint16_t> {
      return Error{Code::not_found, "nothing", ""};
    };
    owner.opened = [](link::Session&) {};
    owner.liveness = [](link::Session&, link::Liveness) {};
    owner.lost = [](const std::string&, const Error&) {};
    owner.received = [](link::Session&, const link::Payload&) { return false; };
    owner.pairing = [this](std::unique_ptr<link::MessageSocket> socket) {
      return desk.serve(std::move(socket));
    };
    link::LinkOptions options;
    options.address = "127.0.0.1";
    options.port = 0;
    auto opened = link::Link::open(loop.get_executor(), roster.identity(), options, std::move(owner));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    door = std::move(*opened);
  }

  /// Until the membership is longer than any message of a pairing that is not proved yet.
  void make_history() {
    for (int change = 0; roster.membership().document().size() < link::kPairingMessageBytes; ++change)
      ASSERT_TRUE(roster.rename(roster.self(), "owner " + std::to_string(change)).ok());
  }

  Result<Joined> run(asio::awaitable<Result<Joined>> joining) {
    Result<Joined> result(Error{Code::unavailable, "the pairing did not end", ""});
    const auto keep = [](asio::awaitable<Result<Joined>> made,
                         Result<Joined>& kept) -> asio::awaitable<void> {
      auto joined = co_await std::move(made);
      kept = std::move(joined);
    };
    asio::co_spawn(loop, keep(std::move(joining), result), [this](const std::exception_ptr& thrown) {
      EXPECT_FALSE(thrown);
      loop.stop();
    });
    loop.restart();
    loop.run_for(kPatience);
    return result;
  }

  Result<Joined> join_with_code() {
    const auto text = desk.make_code({{"127.0.0.1", door->port()}});
    auto code = link::InvitationCode::parse(text.value());
    return run(join_by_code({folder.path() / "by code", "phone"}, std::move(code).value(), {}));
  }

  /// The person at the owner's device says at once that both screens show the same.
  Result<Joined> join_with_digits() {
    EXPECT_TRUE(desk.open_window().ok());
    std::string at_owner;
    std::string at_joiner;
    desk.on_change([&]() {
      const Json view = desk.view();
      if (!view.contains("digits") || !at_owner.empty()) return;
      at_owner = view["digits"];
      EXPECT_TRUE(desk.confirm(at_owner, true).ok());
    });
    const OpenDoor open{"", "owner", {{"127.0.0.1", door->port()}}};
    auto joined =
        run(join_by_digits({folder.path() / "by digits", "tablet"}, open,
                           [&](const std::string& digits, const std::string&) { at_joiner = digits; }));
    desk.on_change(nullptr);
    EXPECT_EQ(at_joiner, at_owner);
    return joined;
  }

  std::string document_in(const std::string& place) const {
    const auto inside = Roster::open(folder.path() / place, "", "");
    return inside ? inside->membership().document() : inside.error().message;
  }
};

TEST_F(PairingDeskTest, AMembershipThatIsLongerThanAStrangersMessageComesThroughEitherWay) {
  make_history();
  const auto phone = join_with_code();
  ASSERT_TRUE(phone.ok()) << phone.error().message;
  EXPECT_EQ(phone->devices, 2U);
  EXPECT_EQ(document_in("by code"), roster.membership().document());
  const auto tablet = join_with_digits();
  ASSERT_TRUE(tablet.ok()) << tablet.error().message;
  EXPECT_EQ(tablet->devices, 3U);
  EXPECT_EQ(document_in("by digits"), roster.membership().document());
}

}  // namespace
}  // namespace caravan::app

#include "cli/invite.h"

#include <cstdio>
#include <memory>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/cluster_command.h"
#include "cli/key_press.h"
#include "cli/print.h"
#include "cli/qr_code.h"
#include "cli/status_table.h"

namespace caravan::cli {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

constexpr const char* kExamples = R"(Examples:
  caravan invite            then `caravan join` on the other device: compare the digits, press y here
  caravan invite --code     a code to type, paste or scan instead: valid for ten minutes, used once
  caravan invite --code --json | jq -r .code      the same for a script

Whoever has the code can join: give it to nobody else.)";

struct Arguments {
  bool code = false;
  bool json = false;
};

/// "123 456": easier to compare.
std::string spaced(const std::string& digits) {
  return digits.size() == 6 ? digits.substr(0, 3) + " " + digits.substr(3) : digits;
}

/// What the watch has found: digits to compare, or the end.
struct PairingNews {
  std::string digits;
  std::string peer;
  std::string joined;
  std::string failed;
  bool closed = false;
};

/// Until there is something to tell. `shown`: the digits that the person has answered already.
asio::awaitable<Result<PairingNews>> next_news(std::string shown, std::string told) {
  PairingNews news;
  const auto look = [&](const Json& view) {
    const Json& pairing = part_of(view, "pairing");
    news.digits = text_in(pairing, "digits");
    news.peer = printable(text_in(pairing, "peer"));
    news.joined = printable(text_in(pairing, "joined"));
    news.failed = printable(text_in(pairing, "failed"));
    news.closed = !flag_in(pairing, "open");
    const bool to_compare = !news.digits.empty() && news.digits != shown;
    const bool failed_anew = !news.failed.empty() && news.failed != told;
    return !to_compare && news.joined.empty() && !failed_anew && !(news.closed && news.digits.empty());
  };
  std::function<bool(const Json&)> on_view = look;
  const auto watched = co_await this_cluster().watch(std::move(on_view));
  if (!watched) co_return watched.error();
  co_return news;
}

/// The other side may give up while the person looks.
asio::awaitable<Result<void>> digits_gone(std::string digits) {
  std::function<bool(const Json&)> on_view = [digits](const Json& view) {
    return text_in(part_of(view, "pairing"), "digits") == digits;
  };
  co_return co_await this_cluster().watch(std::move(on_view));
}

asio::awaitable<Result<void>> compare(PairingNews news) {
  fmt::print("\n    {}\n\n{} wants to join and shows six digits. Are they the same? [y/N] ",
             spaced(news.digits), news.peer);
  std::fflush(stdout);
  auto outcome = co_await (next_key() || digits_gone(news.digits));
  if (outcome.index() == 1) {
    fmt::print("\n");
    co_return Result<void>{};
  }
  const char key = std::get<0>(outcome);
  const bool same = key == 'y' || key == 'Y';
  fmt::print("{}\n", same ? "yes" : "no");
  std::fflush(stdout);
  Json body{{"digits", news.digits}, {"same", same}};
  const auto done = co_await this_cluster().ask("confirm", std::move(body));
  co_return done ? Result<void>{} : Result<void>(done.error());
}

asio::awaitable<Result<std::string>> let_in() {
  if (auto opened = co_await this_cluster().ask("invite", Json::object()); !opened) co_return opened.error();
  fmt::print("run `caravan join` on the other device (open for five minutes; Ctrl-C closes it)\n");
  std::fflush(stdout);
  std::string answered;
  std::string told;
  for (;;) {
    auto news = co_await next_news(answered, told);
    if (!news) co_return news.error();
    if (!news->joined.empty()) co_return news->joined;
    if (!news->failed.empty() && news->failed != told) {
      fmt::print("not joined: {}\n", news->failed);
      std::fflush(stdout);
      told = news->failed;
    }
    if (!news->digits.empty() && news->digits != answered) {
      answered = news->digits;
      if (auto compared = co_await compare(*news); !compared) co_return compared.error();
    } else if (news->closed) {
      co_return Error{Code::unavailable, "nobody has joined, and pairing is closed again",
                      "run `caravan invite` once more"};
    }
  }
}

int invite_by_code(const Arguments& arguments) {
  const auto done = ask_cluster("invite", {{"code", true}});
  if (!done) return print_error(done.error(), arguments.json);
  const std::string code = text_in(*done, "code");
  if (arguments.json) {
    fmt::print("{}\n", dump_json(*done));
    return 0;
  }
  fmt::print("{}\non the other device:\n\n  caravan join {}\n\nvalid for ten minutes, used once\n",
             qr_code(code), code);
  return 0;
}

int invite(const Arguments& arguments) {
  if (arguments.code || arguments.json) return invite_by_code(arguments);
  const auto joined = run_interruptible(let_in());
  if (joined) {
    fmt::print("{} has joined\n", *joined);
    return 0;
  }
  // Whatever ended it: nobody should be able to knock when nobody is looking any more.
  if (joined.error().code == Code::interrupted) (void)ask_cluster("uninvite", Json::object());
  return print_error(joined.error());
}

}  // namespace

void add_invite(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("invite", "Let another device into this cluster");
  command->footer(kExamples);
  command->add_flag("--code", arguments->code, "A code instead of comparing digits");
  command->add_flag("--json", arguments->json, "The code as one line of JSON");
  command->callback([arguments, run]() { run([arguments]() { return invite(*arguments); }); });
}

}  // namespace caravan::cli

#include "cli/engine.h"

#include <cstdio>
#include <memory>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/print.h"
#include "engine/probe.h"

namespace caravan::cli {

namespace asio = boost::asio;

namespace {

constexpr const char* kExamples = R"(Examples:
  caravan engine                               the engine that Caravan uses, and why that one
  caravan engine --engine ~/llama.cpp          look at this one
  caravan engine --json                        the same for a program, with all flags that it takes

Looked for in this order: --engine, $CARAVAN_ENGINE, what `./run build` made, ~/llama.cpp/build/bin, $PREFIX/bin, $PATH.)";

struct Arguments {
  std::string engine;
  bool json = false;
};

Json json_from(const engine::EngineFacts& facts) {
  Json value;
  value["folder"] = facts.files.folder().string();
  value["origin"] = facts.files.origin;
  value["llama_server"] = facts.files.llama_server.string();
  value["rpc_server"] = facts.files.rpc_server.string();
  value["version"] = facts.version;
  value["commit"] = facts.commit;
  value["compiler"] = facts.compiler;
  value["source_id"] = facts.source_id;
  value["build_id"] = facts.build_id;
  value["rpc_protocol"] = engine::to_string(facts.rpc);
  value["features"] = facts.features;
  value["devices"] = facts.devices;
  value["flags"] = {{"llama_server", facts.server_flags.names()}, {"rpc_server", facts.rpc_flags.names()}};
  return value;
}

void print_row(std::string_view name, const std::string& value) {
  fmt::print("{:<14}{}\n", name, printable(value));
}

void print_facts(const engine::EngineFacts& facts) {
  print_row("engine", fmt::format("{}  ({})", for_people(facts.files.folder()), facts.files.origin));
  print_row("version", facts.version);
  print_row("built with", facts.compiler.empty() ? "unknown" : facts.compiler);
  print_row("build id", facts.build_id);
  print_row("programs",
            fmt::format("llama-server ({} flags), {} ({} flags)", facts.server_flags.names().size(),
                        facts.files.rpc_server.filename().string(), facts.rpc_flags.names().size()));
  print_row("RPC protocol", engine::to_string(facts.rpc));
  print_row("features", facts.features.empty() ? "unknown" : join(facts.features, " "));
  print_row("devices", facts.devices.empty() ? "processor only" : join(facts.devices, " "));
  print_row("missing", "nothing");
}

int report(const Arguments& arguments, const Result<engine::EngineFacts>& found) {
  if (arguments.json) {
    fmt::print("{}\n", dump_json(found.ok() ? json_from(*found) : Json{{"error", to_json(found.error())}}));
    return found.ok() ? 0 : exit_code_of(found.error().code);
  }
  if (!found.ok()) return print_error(found.error());
  print_facts(*found);
  return 0;
}

int engine_command(const Arguments& arguments) {
  asio::thread_pool pool(1);
  asio::io_context loop(1);
  std::optional<Result<engine::EngineFacts>> found;
  asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        found = co_await engine::find_engine(loop.get_executor(), pool.get_executor(),
                                             engine::engine_places(arguments.engine));
      },
      [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
      });
  loop.run();
  return report(arguments, *found);
}

}  // namespace

void add_engine(CLI::App& root, const std::function<void(std::function<int()>)>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = root.add_subcommand("engine", "Show which engine is used, and what it can do");
  command->footer(kExamples);
  command->add_option("--engine", arguments->engine, "Folder of the engine's programs");
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  command->callback([arguments, run]() { run([arguments]() { return engine_command(*arguments); }); });
}

}  // namespace caravan::cli

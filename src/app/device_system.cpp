#include "app/device_system.h"

#include <unistd.h>

#include <exception>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "engine/capture.h"

namespace caravan::app {

namespace asio = boost::asio;

namespace {

std::optional<fs::path> find_program(const std::vector<fs::path>& folders, const std::string& name) {
  for (const fs::path& folder : folders) {
    fs::path program = folder / name;
    std::error_code failure;
    if (fs::is_regular_file(program, failure) && ::access(program.c_str(), X_OK) == 0) return program;
  }
  return std::nullopt;
}

}  // namespace

std::vector<fs::path> program_folders() {
  std::vector<fs::path> folders;
  for (const std::string& folder : split(environment("PATH").value_or(""), ':')) {
    if (fs::path(folder).is_absolute()) folders.emplace_back(folder);
  }
  for (const char* folder : {"/system/bin", "/usr/sbin", "/sbin"}) folders.emplace_back(folder);
  return folders;
}

Result<std::string> run_helper(const std::vector<fs::path>& folders,
                               const std::vector<std::string>& arguments,
                               std::chrono::milliseconds deadline) {
  const std::string& name = arguments.front();
  const auto program = find_program(folders, name);
  if (!program) return Error{Code::not_found, fmt::format("the program {} is not installed", name), ""};
  SpawnSpec spec;
  spec.program = *program;
  spec.arguments.assign(arguments.begin() + 1, arguments.end());
  asio::io_context loop(1);
  std::optional<Result<engine::Captured>> ended;
  asio::co_spawn(
      loop,
      [&]() -> asio::awaitable<void> {
        ended = co_await engine::capture(loop.get_executor(), std::move(spec), deadline);
      },
      [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
      });
  loop.run();
  if (!ended->ok()) return ended->error();
  engine::Captured& captured = ended->value();
  if (captured.status == engine::ExitStatus{}) return std::move(captured.text);
  return Error{Code::invalid, fmt::format("{} failed: {}", name, engine::describe(captured.status)), ""};
}

device::SystemView this_system(fs::path storage) {
  return device::this_system(
      std::move(storage), [](const std::vector<std::string>& arguments, std::chrono::milliseconds deadline) {
        return run_helper(program_folders(), arguments, deadline);
      });
}

}  // namespace caravan::app

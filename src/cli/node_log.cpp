#include "cli/node_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/spdlog.h>

#include "base/descriptor.h"

namespace caravan::cli {
namespace {

constexpr std::size_t kMaxLogBytes = std::size_t{1} << 20U;
constexpr std::size_t kOldLogs = 1;

Result<Descriptor> open_for_appending(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (file.get() < 0) return errno_error("cannot write " + for_people(path), errno);
  return file;
}

}  // namespace

fs::path node_log_path(const fs::path& state_folder) { return state_folder / "node.log"; }

Result<void> open_node_log(const fs::path& state_folder) {
  const fs::path path = node_log_path(state_folder);
  // Made here, so that nobody else can read it, and so that the reason is known when it cannot be written.
  if (const auto file = open_for_appending(path); !file) return file.error();
  try {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path.string(), kMaxLogBytes, kOldLogs);
    auto logger = std::make_shared<spdlog::logger>("node", std::move(sink));
    logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %-7l %v");
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
    spdlog::info("process {}", ::getpid());  // now, so that a file that is too long moves away at once
  } catch (const spdlog::spdlog_ex& failure) {
    return Error{Code::unavailable, failure.what(), "check that the file can be written"};
  }
  return {};
}

Result<void> redirect_to_node_log(const fs::path& state_folder, int stream) {
  const fs::path path = node_log_path(state_folder);
  const auto file = open_for_appending(path);
  if (!file) return file.error();
  if (::dup2(file->get(), stream) < 0) return errno_error("cannot write " + for_people(path), errno);
  return {};
}

}  // namespace caravan::cli

#include "engine/exit.h"

#include <array>
#include <csignal>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::engine {
namespace {

constexpr std::size_t kMaxQuotedBytes = 240;

struct CauseRow {
  ExitCause cause;
  std::string_view name;
  Code code;
  std::string_view what;  ///< goes on after "llama-server "
  std::string_view hint;
};

constexpr std::array<CauseRow, 11> kCauses{{
    {ExitCause::asked, "asked", Code::interrupted, "was stopped", ""},
    {ExitCause::killed, "killed", Code::unavailable, "was killed",
     "if nobody did that, the system was short of memory: give this device fewer layers, or close other "
     "apps"},
    {ExitCause::out_of_memory, "out_of_memory", Code::exhausted, "ran out of memory",
     "use a smaller context or model, or more devices"},
    {ExitCause::port_taken, "port_taken", Code::unavailable, "found its port taken",
     "end the program that listens there, or try again: another port is chosen each time"},
    {ExitCause::model_unreadable, "model_unreadable", Code::invalid, "cannot read the model",
     "check the file with `caravan models verify`, or pull it again with `caravan models pull`"},
    {ExitCause::worker_lost, "worker_lost", Code::disconnected, "lost a worker",
     "see on that device why its RPC server ended, and whether it is still on the network"},
    {ExitCause::worker_incompatible, "worker_incompatible", Code::incompatible,
     "does not understand a worker", "use the same engine on every device: run `./run build` there"},
    {ExitCause::flag_unknown, "flag_unknown", Code::incompatible, "does not take what it was started with",
     "use the engine that `./run build` makes, or see `caravan engine` for what was found"},
    {ExitCause::missing_library, "missing_library", Code::incompatible, "cannot be loaded",
     "its libraries are missing or of another build: run `./run build`"},
    {ExitCause::crashed, "crashed", Code::unavailable, "crashed", "see its log for more"},
    {ExitCause::exited, "exited", Code::unavailable, "ended by itself", "see its log for more"},
}};

const CauseRow& row_of(ExitCause cause) {
  for (const CauseRow& row : kCauses) {
    if (row.cause == cause) return row;
  }
  return kCauses.back();
}

std::string_view program_name(Program program) {
  if (program == Program::fabric_worker) return "caravan-worker";
  return program == Program::llama_server ? "llama-server" : "the RPC server";
}

struct KindRow {
  Trouble::Kind kind;
  ExitCause cause;
};
/// What explains most comes first: a lost worker also makes the model fail to load, and both end in an abort.
constexpr std::array<KindRow, 8> kKinds{{
    {Trouble::Kind::missing_library, ExitCause::missing_library},
    {Trouble::Kind::flag_unknown, ExitCause::flag_unknown},
    {Trouble::Kind::port_taken, ExitCause::port_taken},
    {Trouble::Kind::worker_incompatible, ExitCause::worker_incompatible},
    {Trouble::Kind::out_of_memory, ExitCause::out_of_memory},
    {Trouble::Kind::worker_lost, ExitCause::worker_lost},
    {Trouble::Kind::model_unreadable, ExitCause::model_unreadable},
    {Trouble::Kind::aborted, ExitCause::crashed},
}};

struct Finding {
  ExitCause cause = ExitCause::exited;
  std::string line;
  std::string worker;
};

/// Which of its lines explains the end, if any.
std::optional<Finding> find_trouble(const std::vector<Trouble>& troubles, RunPhase phase) {
  for (const KindRow& row : kKinds) {
    if (phase == RunPhase::serving && !possible_while_serving(row.kind)) continue;
    for (const Trouble& trouble : troubles) {
      if (trouble.kind != row.kind) continue;
      Finding finding{row.cause, trouble.text, trouble.worker};
      for (const Trouble& other : troubles) {
        if (finding.worker.empty()) finding.worker = other.worker;
      }
      return finding;
    }
  }
  return std::nullopt;
}

/// The first error that it logged says most; without any, its last line.
std::string telling_line(const OutputRing& output) {
  std::string telling;
  for (const std::string& line : output.lines()) {
    const LogLine parts = split_level(line);
    if (parts.level == 'E') return std::string(parts.text);
    if (!trim(parts.text).empty()) telling = parts.text;
  }
  return telling;
}

Finding find_cause(const ExitStatus& status, const OutputRing& output, RunPhase phase) {
  if (status.signal == SIGKILL) return {ExitCause::killed, "", ""};
  if (auto finding = find_trouble(output.troubles(), phase)) return *finding;
  if (status.signal != 0) return {ExitCause::crashed, "", ""};
  // What it wrote while serving may quote a request.
  return {ExitCause::exited, phase == RunPhase::serving ? "" : telling_line(output), ""};
}

/// Some causes say themselves when they happen.
std::string_view while_doing(ExitCause cause, RunPhase phase) {
  const bool any_time = cause == ExitCause::killed || cause == ExitCause::out_of_memory ||
                        cause == ExitCause::worker_lost || cause == ExitCause::crashed ||
                        cause == ExitCause::exited;
  if (!any_time || phase == RunPhase::serving) return "";
  return phase == RunPhase::loading ? " while loading the model" : " while starting";
}

std::string cause_line(Program program, const ExitStatus& status, const Finding& finding, RunPhase phase) {
  std::string text = fmt::format("{} {}", program_name(program), row_of(finding.cause).what);
  if (!finding.worker.empty()) text += fmt::format(" (worker at {})", finding.worker);
  text += while_doing(finding.cause, phase);
  if (finding.line.empty()) return fmt::format("{}: {}", text, describe(status));
  return fmt::format("{}: {}", text, printable(trim(finding.line).substr(0, kMaxQuotedBytes)));
}

std::string cure_line(const ExitStatus& status, const Finding& finding) {
  if (finding.cause == ExitCause::crashed && status.signal == SIGILL) {
    return "the engine was built for another processor: run `./run build` on this device";
  }
  return std::string(row_of(finding.cause).hint);
}

}  // namespace

std::string_view name_of(ExitCause cause) { return row_of(cause).name; }

ExitReport classify(Program program, const ExitStatus& status, const OutputRing& output, bool asked_to_stop,
                    RunPhase phase) {
  ExitReport report;
  report.status = status;
  report.output = output.summary();
  if (asked_to_stop) {
    report.cause = ExitCause::asked;
    report.error = Error{Code::interrupted, fmt::format("{} was stopped", program_name(program)), ""};
    return report;
  }
  const Finding finding = find_cause(status, output, phase);
  report.cause = finding.cause;
  report.line = finding.line;
  report.worker = finding.worker;
  report.error = Error{row_of(finding.cause).code, cause_line(program, status, finding, phase),
                       cure_line(status, finding)};
  return report;
}

}  // namespace caravan::engine

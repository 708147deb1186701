#include "doctor/checkup.h"

#include <algorithm>
#include <exception>
#include <future>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/units.h"

namespace caravan::doctor {
namespace {

using Findings = std::vector<Finding>;

/// A step that was started.
struct Running {
  const Step* step = nullptr;
  std::future<Findings> findings;  ///< of a packaged_task: its destructor does not wait
  std::thread thread;              ///< none when the system does not give us another
};

bool is_wanted(const CheckInfo& check, const std::set<std::string>& only) {
  return only.empty() || only.count(std::string(check.name)) > 0;
}

Running start(const Step& step) {
  Running running;
  running.step = &step;
  std::packaged_task<Findings()> task(step.run);
  running.findings = task.get_future();
  try {
    running.thread = std::thread(std::move(task));
  } catch (const std::system_error&) {
    std::packaged_task<Findings()> here(step.run);
    running.findings = here.get_future();
    here();
  }
  return running;
}

Finding hanging(const Step& step) {
  const std::string limit = format_duration(step.limit);
  return {Status::problem,
          fmt::format("not known: the check has not ended within {}", limit),
          "a program, a disk or the network does not answer; what needs it will wait as long",
          {fmt::format("caravan doctor --only {}", step.checks.front().name)}};
}

Finding broken(std::string_view what) {
  return {Status::problem,
          fmt::format("not known: the check broke off: {}", what),
          "this is a defect of Caravan, or the device is out of memory",
          {"please report it with what this command prints"}};
}

/// The findings; nothing when it hangs.
std::optional<Findings> collect(Running& running, TimePoint deadline) {
  if (running.findings.wait_until(deadline) != std::future_status::ready) {
    running.thread.detach();
    return std::nullopt;
  }
  if (running.thread.joinable()) running.thread.join();
  try {
    return running.findings.get();
  } catch (const std::exception& error) {
    return Findings(running.step->checks.size(), broken(error.what()));
  }
}

}  // namespace

CheckupResult run_checkup(const std::vector<Step>& steps, const std::set<std::string>& only,
                          const std::function<void(const Diagnosis&)>& on_diagnosis) {
  const TimePoint started = Clock::now();
  std::vector<Running> all;
  for (const Step& step : steps) {
    const bool wanted = std::any_of(step.checks.begin(), step.checks.end(),
                                    [&](const CheckInfo& check) { return is_wanted(check, only); });
    if (wanted) all.push_back(start(step));
  }
  CheckupResult result;
  for (Running& running : all) {
    const std::vector<CheckInfo>& checks = running.step->checks;
    auto findings = collect(running, started + running.step->limit);
    result.hangs = result.hangs || !findings;
    if (!findings) findings = Findings(checks.size(), hanging(*running.step));
    for (std::size_t i = 0; i < checks.size(); ++i) {
      if (!is_wanted(checks[i], only)) continue;
      const Diagnosis diagnosis{std::string(checks[i].name), std::move((*findings)[i])};
      result.tally.add(diagnosis.finding.status);
      on_diagnosis(diagnosis);
    }
  }
  return result;
}

}  // namespace caravan::doctor

#include "engine/child.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace caravan::engine {

EngineChild::EngineChild(const asio::any_io_executor& executor, Program program, const fs::path& log,
                         OnEvent on_event)
    : program_(program), log_(log), on_event_(std::move(on_event)), changed_(executor) {}

Result<std::shared_ptr<EngineChild>> EngineChild::start(asio::any_io_executor executor, Program program,
                                                        const SpawnSpec& spec, const fs::path& log,
                                                        OnEvent on_event) {
  std::shared_ptr<EngineChild> child(new EngineChild(executor, program, log, std::move(on_event)));
  SpawnSpec careful = spec;
  careful.ignores_broken_pipes =
      true;  // the RPC server of v0.5.0 dies of a master that goes away in mid-answer
  // The process is owned by the child and hands out no line once it is destroyed.
  auto process =
      Process::start(executor, careful, [&self = *child](std::string_view line) { self.take_line(line); });
  if (!process) return process.error();
  child->process_ = std::move(*process);
  asio::co_spawn(executor, watch(child), asio::detached);
  return child;
}

void EngineChild::take_line(std::string_view line) {
  const bool serving = phase_ == RunPhase::serving;
  if (!keep_in_log(line, serving)) return;
  log_.write_line(line);
  output_.add(line);
  const auto event = parse_engine_line(line);
  if (!event) return;
  if (const auto* trouble = std::get_if<Trouble>(&*event)) output_.add_trouble(*trouble);
  const auto* fabric = std::get_if<FabricFailed>(&*event);
  if (fabric != nullptr) output_.add_trouble({Trouble::Kind::worker_lost, fabric->text, ""});
  if (!serving || fabric != nullptr) on_event_(*event);
}

void EngineChild::enter(RunPhase phase) {
  phase_ = phase;
  if (phase == RunPhase::serving) output_.forget_troubles();
}

void EngineChild::finish(const ExitStatus& status) {
  if (report_) return;
  report_ = classify(program_, status, output_, asked_to_stop_, phase_);
  changed_.notify();
}

asio::awaitable<void> EngineChild::watch(std::shared_ptr<EngineChild> self) {
  self->finish(co_await self->process_->wait());
}

asio::awaitable<ExitReport> EngineChild::exited() {
  const auto self = shared_from_this();
  while (!report_) co_await changed_.past(changed_.count());
  co_return *report_;
}

asio::awaitable<void> EngineChild::stop(std::chrono::milliseconds grace) {
  const auto self = shared_from_this();
  asked_to_stop_ = true;
  if (process_) (void)co_await process_->stop(grace);
  co_await exited();
}

void EngineChild::end() {
  asked_to_stop_ = true;
  process_.reset();
}

}  // namespace caravan::engine

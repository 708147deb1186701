#include "trace/chrome.h"

namespace caravan::trace {
namespace {

constexpr double kNanosecondsInUs = 1e3;

double us_of(Nanoseconds time) { return static_cast<double>(time) / kNanosecondsInUs; }

/// What a person reads on the bar.
std::string title_of(const Piece& piece, bool is_master) {
  if (piece.kind == Kind::wire) return is_master ? "result on its way" : "input on its way";
  if (piece.kind == Kind::compute && is_master) return "head, sampling";
  return std::string(name_of(piece.kind));
}

void add_lane(Json& events, const Timeline& timeline, const Lane& lane, std::size_t process,
              const std::string& name) {
  events.push_back(
      {{"name", "process_name"}, {"ph", "M"}, {"pid", process}, {"tid", 0}, {"args", {{"name", name}}}});
  events.push_back({{"name", "process_sort_index"},
                    {"ph", "M"},
                    {"pid", process},
                    {"tid", 0},
                    {"args", {{"sort_index", process}}}});
  for (const Piece& piece : lane.pieces) {
    Json event = {{"name", title_of(piece, process == 0)},
                  {"cat", name_of(piece.kind)},
                  {"ph", "X"},
                  {"ts", us_of(piece.begin)},
                  {"dur", us_of(piece.end - piece.begin)},
                  {"pid", process},
                  {"tid", 0}};
    if (piece.step < timeline.steps.size()) {
      const StepTimes& step = timeline.steps[piece.step];
      event["args"] = {
          {"step", piece.step}, {"phase", step.is_decode ? "decode" : "prompt"}, {"tokens", step.rows}};
    }
    events.push_back(std::move(event));
  }
}

}  // namespace

Json chrome_trace(const Timeline& timeline, const std::vector<std::string>& names) {
  Json events = Json::array();
  add_lane(events, timeline, timeline.master, 0, timeline.master.name);
  Json clocks = Json::array();
  for (std::size_t i = 0; i < timeline.stages.size(); ++i) {
    const Lane& lane = timeline.stages[i];
    const std::string& name = i < names.size() ? names[i] : lane.name;
    add_lane(events, timeline, lane, i + 1, name);
    clocks.push_back({{"pid", i + 1},
                      {"offset_us", us_of(lane.clock.offset)},
                      {"uncertainty_us", us_of(lane.clock.uncertainty)}});
  }
  return {{"traceEvents", std::move(events)},
          {"displayTimeUnit", "ms"},
          {"otherData", {{"program", "caravan"}, {"clocks", std::move(clocks)}}}};
}

}  // namespace caravan::trace

// Keeps what the planner should know of this device up to date: measures its speed when that was never done
// or is out of date, looks at its memory while no engine program runs, and at its models.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "app/model_shelf.h"
#include "cluster/card.h"
#include "cluster/messages.h"

namespace caravan::app {

struct SelfReading {
  enum class Measuring { none, done, interrupted };
  cluster::NodeCard card;
  std::optional<Error> problem;  ///< why there is no profile
  Measuring measuring = Measuring::none;
};

/// When speed may be measured although an engine runs here, or although what is kept looks good.
struct MeasureChance {
  bool is_at_rest = false;        ///< nobody waits for an answer: beside an engine it may be measured now
  bool again = false;             ///< it is to be measured whatever is kept
  std::function<bool()> goes_on;  ///< whether it still is at rest: ends what is measured beside an engine
  std::function<void(const std::string& why)> begins;  ///< `why` is "" when that is what `again` is for
};

/// One event loop.
class SelfMeasure {
 public:
  struct Options {
    fs::path program;             ///< the caravan executable, which measures in a process of its own
    std::string engine;           ///< folder of the engine's programs, empty: search
    std::string build_id;         ///< which engine what is kept has to be of
    std::optional<Bytes> memory;  ///< as a person has set it; nothing: what is free
  };
  SelfMeasure(Options options, boost::asio::any_io_executor pool)
      : options_(std::move(options)), pool_(pool) {}

  /// Takes as long as measuring does when that is due, up to half a minute, otherwise a moment. `state`: of
  /// this node. The shelf is replaced by one that has looked again.
  boost::asio::awaitable<SelfReading> read(cluster::NodeState state, ModelShelf& shelf, MeasureChance chance);

 private:
  boost::asio::awaitable<SelfReading::Measuring> measure_if_due(const cluster::NodeState& state,
                                                                const MeasureChance& chance);
  /// Nothing: it was measured.
  boost::asio::awaitable<std::optional<Error>> measure(std::vector<std::string> how,
                                                       std::function<bool()> goes_on);

  Options options_;
  boost::asio::any_io_executor pool_;
  std::optional<Error> failed_;  ///< measuring has failed: it is not tried again by itself
  Bytes memory_;                 ///< as it was when no engine program ran
};

}  // namespace caravan::app

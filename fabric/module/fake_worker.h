// For tests: the other end of a stream on a real socket. It keeps memory and remembers what it was told, but
// computes nothing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fabric/module/plan.h"
#include "fabric/net/greeting.h"

namespace caravan::fabric {

class FakeWorker {
 public:
  /// What goes back for a message, instead of the usual. Called on the worker's thread.
  using Answer = std::function<std::string(std::string_view payload)>;

  FakeWorker();
  FakeWorker(const FakeWorker&) = delete;
  FakeWorker& operator=(const FakeWorker&) = delete;
  ~FakeWorker();

  /// How a plan names it. `key` is the one that it takes.
  Stage stage(const std::string& name) const;
  /// From now on.
  void answer(Type type, Answer answer);
  /// It goes on reading but says and does nothing and beats no more, as a frozen one would.
  void freeze();
  /// It beats, but says that it waits for a command, whatever it is told.
  void stand_still();
  void close_connection();

  /// All that came after the greeting, in order: types, and payloads of one type.
  std::vector<Type> heard();
  std::vector<std::string> payloads(Type type);
  /// Waits, for at most 10 s, until a message of this type has come `times` times.
  bool wait_for(Type type, std::size_t times);
  /// Waits, for at most 10 s, until it has given so many signs of life.
  bool wait_for_beats(std::uint32_t times);
  std::string memory(std::uint32_t buffer);

 private:
  void serve();
  void beat();
  std::string work(Type type, std::string_view payload);

  Listener listener_;
  std::mutex lock_;
  std::condition_variable news_;
  std::vector<std::pair<Type, std::string>> heard_;
  std::map<Type, Answer> answers_;
  std::map<std::uint32_t, std::string> memory_;
  bool frozen_ = false;
  bool stands_ = false;
  Channel* channel_ = nullptr;
  std::chrono::milliseconds pulse_{0};
  std::uint32_t beats_ = 0;
  std::thread thread_;
  std::thread beating_;
};

inline constexpr const char* kTestEngine = "engine of the test";

}  // namespace caravan::fabric

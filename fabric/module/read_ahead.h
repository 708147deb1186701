// Results that the master is about to read. What was read after a graph once is read right behind it the next
// time: the way there is saved, and a worker that fails meanwhile makes the graph fail, where a later read
// could only give zeros, which would become a wrong token. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <set>
#include <string>
#include <string_view>

#include "fabric/wire/messages.h"

namespace caravan::fabric {

class ReadAhead {
 public:
  /// A tensor of this name was read after a graph.
  void learn(std::string_view name);
  bool knows(std::string_view name) const { return names_.contains(name); }

  /// Memory for the bytes of `region`, until clear(). Nobody gets them before they are declared complete.
  char* prepare(const Region& region);
  void complete() { complete_ = true; }
  /// The bytes of `region`, or null when they were not read ahead.
  const char* find(const Region& region) const;
  /// The worker's memory changes: what was read ahead is old.
  void clear();

 private:
  struct Bytes {
    Region region;
    std::string data;
  };
  std::set<std::string, std::less<>> names_;
  std::list<Bytes> results_;  // a list: what is prepared must not move
  bool complete_ = false;
};

}  // namespace caravan::fabric

// Which flags a program of the engine takes, read from its own --help: they differ between versions. Pure.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace caravan::engine {

class EngineFlags {
 public:
  EngineFlags() = default;
  /// Text that is not a help page yields no flags.
  static EngineFlags from_help(std::string_view help);

  bool has(std::string_view flag) const { return values_.find(flag) != values_.end(); }
  /// True when a value stands after it in the help; false also for an unknown flag.
  bool takes_value(std::string_view flag) const;
  /// The first of `names` that is known, or "".
  std::string first_of(std::initializer_list<std::string_view> names) const;
  /// In alphabetical order, "--ctx-size" as well as "-c".
  std::vector<std::string> names() const;

 private:
  void add_line(std::string_view line);

  std::map<std::string, std::string, std::less<>> values_;  ///< flag to the name of its value, or ""
};

}  // namespace caravan::engine

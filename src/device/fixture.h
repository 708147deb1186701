// A folder of testdata as a system: its files, and programs that print what stands in its bin/. Tests only.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "device/source.h"
#include "device/system_view.h"

namespace caravan::device {

inline fs::path fixture_folder(const std::string& device) {
  return fs::path(CARAVAN_SOURCE_DIR) / "src/device/testdata" / device;
}

/// bin/NAME.txt or bin/NAME.json is what the program prints; with bin/NAME.timeout it does not end; else it
/// is not installed.
inline Result<std::string> run_in_fixture(const fs::path& root, const std::string& name) {
  for (const char* ending : {".txt", ".json"}) {
    if (is_there(root / "bin" / (name + ending))) return read_text(root / "bin" / (name + ending));
  }
  if (is_there(root / "bin" / (name + ".timeout")))
    return Error{Code::unavailable, name + " has not ended within 5 s", ""};
  return Error{Code::not_found, "the program " + name + " is not installed", ""};
}

inline SystemView fixture(const std::string& device) {
  SystemView view;
  view.root = fixture_folder(device);
  EXPECT_TRUE(is_there(view.root / "machine")) << view.root;
  view.machine = read_line(view.root / "machine").value_or("");
  view.storage = "/models";
  view.run = [root = view.root](const std::vector<std::string>& arguments,
                                std::chrono::milliseconds deadline) {
    EXPECT_GT(deadline.count(), 0);
    return run_in_fixture(root, arguments.front());
  };
  view.free_space = [](const fs::path&) -> Result<Bytes> { return mebibytes(2048); };
  view.addresses = []() -> Result<std::vector<Address>> {
    return std::vector<Address>{{"wlan0", "192.168.1.23", false}};
  };
  return view;
}

}  // namespace caravan::device

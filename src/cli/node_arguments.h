// The options that every command which runs a node takes, and what they mean to the node.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/node.h"
#include "base/result.h"

namespace caravan::cli {

struct NodeArguments {
  std::string memory;
  std::string engine;
  std::uint16_t port = 8080;
};

/// `arguments` must outlive the command.
void add_node_options(CLI::App& command, NodeArguments& arguments);

/// Without device and state folder, which each command chooses. Relative paths are made absolute. Reads how
/// much memory is available unless that was given.
Result<app::NodeOptions> node_options(const NodeArguments& arguments);

/// The options that were given to a command, as words that mean the same to another run of it; those called
/// one of `left_out` (e.g. "--json") are not.
std::vector<std::string> words_given(const CLI::App& command, const std::set<std::string>& left_out);

}  // namespace caravan::cli

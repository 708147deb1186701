// Finds the engine's programs on this device. A few file system look-ups, nothing is run.
#pragma once

#include <map>
#include <string>

#include "base/files.h"
#include "base/result.h"

namespace caravan::engine {

/// A folder with both programs.
struct EngineFiles {
  fs::path llama_server;
  fs::path rpc_server;  ///< "ggml-rpc-server", or "rpc-server" as it was called before 2026
  std::string origin;   ///< which of the places it is from, e.g. "--engine" or "PATH"

  fs::path folder() const { return llama_server.parent_path(); }
};

/// Where to look, in this order.
struct EnginePlaces {
  std::string option;       ///< --engine; when given nothing else is looked at
  std::string environment;  ///< $CARAVAN_ENGINE; when given nothing further is looked at
  fs::path built;           ///< what `./run build` made
  fs::path home;            ///< for ~/llama.cpp/build/bin
  std::string prefix;       ///< $PREFIX, as Termux sets it
  std::string path;         ///< $PATH
};

/// Those of this process's environment.
EnginePlaces engine_places(std::string option);

/// Code::not_found, or Code::incompatible for an engine without RPC, when there is none; the message says
/// where it looked. A folder that was named but does not hold an engine is an error, not a reason to look
/// further. Of a source or build folder its bin/ or build/bin/ counts.
Result<EngineFiles> locate_engine(const EnginePlaces& places);

/// What the programs need beside our environment: the folder where they find their libraries; and no
/// backtrace when they abort, which they make by running a debugger on themselves: with one installed that
/// takes seconds.
std::map<std::string, std::string> engine_environment(const EngineFiles& files);

}  // namespace caravan::engine

// Why an engine program ended: one cause out of few, with one line of cause and one of cure for people. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/output_ring.h"
#include "engine/process.h"

namespace caravan::engine {

enum class Program { llama_server, rpc_server, fabric_worker };

enum class RunPhase { starting, loading, serving };

enum class ExitCause {
  asked,          ///< we stopped it
  killed,         ///< SIGKILL from elsewhere: a person, or the system short of memory
  out_of_memory,  ///< an allocation failed, here or on the worker that is named
  port_taken,
  model_unreadable,
  worker_lost,          ///< a worker's connection broke or could not be made: llama-server ends with it
  worker_incompatible,  ///< a worker speaks another version of the protocol
  flag_unknown,         ///< a flag, or the value of one
  missing_library,
  crashed,  ///< another signal or a failed assertion
  exited,   ///< by itself, for no reason that it told
};

/// As it is written in JSON, e.g. "out_of_memory".
std::string_view name_of(ExitCause cause);

struct ExitReport {
  ExitCause cause = ExitCause::exited;
  ExitStatus status;
  std::string line;    ///< the decisive line of its output, or empty
  std::string worker;  ///< address of the worker that is to blame, or empty
  std::string output;  ///< its first and last lines
  Error error;         ///< asked: Code::interrupted
};

ExitReport classify(Program program, const ExitStatus& status, const OutputRing& output, bool asked_to_stop,
                    RunPhase phase);

}  // namespace caravan::engine

// What the engine's programs write, line by line, as events. Pure; a line that is not understood is no event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/units.h"

namespace caravan::engine {

/// A line of llama.cpp's logger: "0.01.234.567 W text". Other lines have no level: what is written past the
/// logger, and the second and further lines of a message.
struct LogLine {
  char level = '\0';  ///< 'E', 'W', 'I', 'D' or '\0'
  std::string_view text;
};
LogLine split_level(std::string_view line);

/// "load_tensors: layer  10 assigned to device RPC0". The number after the last repeating layer is the output
/// layer.
struct LayerAssigned {
  int layer = 0;
  std::string device;
};

struct BufferSize {
  enum class Kind { model, kv, compute, output };
  /// As in the log: "CPU", "CPU_Mapped", "RPC0[127.0.0.1:50052]". The number in the last is that of the
  /// device *within* that worker; only the address tells workers apart.
  std::string device;
  Kind kind = Kind::model;
  Bytes bytes;  ///< to a hundredth of a MiB
};

/// llama-server takes requests at this address; it says so once the model is loaded.
/// So does the fabric's worker, once it takes masters.
struct Listening {
  std::string host;
  std::uint16_t port = 0;
};

/// "Starting RPC server v7.0.0"; written before the port is bound, and into a buffer that is flushed at the
/// end.
struct RpcBanner {
  int major = 0;
  int minor = 0;
  int patch = 0;
};

/// The RPC server has taken a client: only now is it known that the port is its own. Written and flushed at
/// once.
struct ClientAccepted {};

/// The fabric's module, in llama-server, has lost a stage or could not begin: nothing is computed any more,
/// though the process goes on.
struct FabricFailed {
  std::string text;  ///< "stage 1 (pixel-6) failed: no answer"
};

/// How far llama-server has come with loading.
enum class LoadStep { reading_model, sending_weights, making_context, warming_up, loaded };

/// A line that says why a program is about to end, or cannot go on.
struct Trouble {
  enum class Kind {
    flag_unknown,
    missing_library,
    port_taken,
    out_of_memory,
    worker_lost,
    worker_incompatible,
    model_unreadable,
    aborted,
  };
  Kind kind = Kind::aborted;
  std::string text;    ///< the line without time and level
  std::string worker;  ///< address of the worker that it names, or empty
};

/// The other kinds end a program before it serves. Once it does, such a line can only be one that quotes a
/// request.
bool possible_while_serving(Trouble::Kind kind);

using EngineEvent = std::variant<LayerAssigned, BufferSize, Listening, RpcBanner, ClientAccepted, LoadStep,
                                 FabricFailed, Trouble>;

std::optional<EngineEvent> parse_engine_line(std::string_view line);

/// Of the lines that llama-server writes with debug messages on, the ones that may be kept: all while it
/// loads; once it serves only warnings, errors and reasons of its end, since debug messages contain what
/// people ask and get.
bool keep_in_log(std::string_view line, bool serving);

}  // namespace caravan::engine

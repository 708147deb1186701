// Every limit of the fabric's protocol, for both ends. docs/fabric-protocol.md gives the reasons.
#pragma once

#include <cstddef>
#include <cstdint>

namespace caravan::fabric {

/// "CRVF", little-endian: the first four bytes of a HELLO's payload.
constexpr std::uint32_t kMagic = 0x46565243U;
/// Both ends must have the same one.
constexpr std::uint16_t kProtocolVersion = 2;

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kFlagsAt = 6;  ///< in a header
/// Largest payload before the other end has proved the key.
constexpr std::size_t kMaxGreetingPayload = 1024;
/// Largest payload at all (GRAPH, TIMELINE, MISSING).
constexpr std::size_t kMaxPayload = std::size_t{16} << 20U;
/// Most bytes of tensor data in one message. Longer data is cut into several messages.
constexpr std::size_t kMaxChunk = std::size_t{1} << 20U;

constexpr std::size_t kMaxName = 128;     ///< names, engine ids, addresses: bytes
constexpr std::size_t kMaxText = 1024;    ///< messages and hints of errors: bytes
constexpr std::size_t kMaxDevices = 16;   ///< ggml devices of a worker
constexpr std::uint32_t kMaxStages = 64;  ///< stages of a plan
constexpr std::uint32_t kMaxThreads = 512;
constexpr std::uint32_t kLeastPulse = 100;  ///< milliseconds
constexpr std::uint32_t kMostPulse = 60000;

constexpr std::uint64_t kMaxBufferBytes = std::uint64_t{1} << 40U;
constexpr std::size_t kMaxBuffers = 4096;  ///< of one master, at a time
constexpr std::size_t kMaxWeights = 65536;

constexpr std::size_t kMaxGraphTensors = 65536;  ///< nodes and their direct sources
constexpr std::size_t kMaxGraphs = 1024;         ///< kept by a worker at a time
constexpr std::size_t kMaxKeptTensors = 262144;  ///< of all graphs that a worker keeps
constexpr std::size_t kMaxTimelineEntries = 65536;

constexpr int kDims = 4;            ///< GGML_MAX_DIMS
constexpr int kMaxSources = 10;     ///< GGML_MAX_SRC
constexpr int kMaxParameters = 16;  ///< GGML_MAX_OP_PARAMS in words of 4 bytes

}  // namespace caravan::fabric

// The messages with which a connection begins. docs/fabric-protocol.md.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "fabric/wire/frame.h"

namespace caravan::fabric {

using Nonce = std::array<std::uint8_t, 32>;
using Key = std::array<std::uint8_t, 32>;
using Mac = std::array<std::uint8_t, 32>;
using Hash = std::array<std::uint8_t, 32>;  ///< SHA-256

struct Hello {
  static constexpr Type kType = Type::hello;
  std::uint32_t magic = kMagic;
  std::uint16_t version = kProtocolVersion;
  Role role = Role::worker;
  std::uint32_t stage = 0;    ///< of a peer: its own; else 0
  std::uint64_t session = 0;  ///< of a peer: what its master's OPEN said; else 0
  Nonce nonce{};              ///< random, new for each connection
  std::string engine;         ///< build id of the engine; both ends must have the same
  bool operator==(const Hello&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.magic);
    io.must(m.magic == kMagic, "it is not of Caravan's fabric");
    io.number(m.version);
    io.choice(m.role, Role::peer);
    io.number(m.stage);
    io.must(m.stage < kMaxStages, "a stage that cannot be");
    io.number(m.session);
    io.bytes(m.nonce);
    io.text(m.engine, kMaxName);
  }
};

struct Proof {
  static constexpr Type kType = Type::proof;
  Mac mac{};  ///< proof.h
  bool operator==(const Proof&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.bytes(m.mac);
  }
};

/// What ggml says about a device (ggml_backend_dev_type).
enum class DeviceKind : std::uint8_t { cpu = 0, gpu = 1, integrated_gpu = 2, accelerator = 3, other = 4 };

struct Device {
  std::string name;
  std::string description;
  DeviceKind kind = DeviceKind::cpu;
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t alignment = 0;   ///< of tensors in its buffers, a power of two
  std::uint64_t max_buffer = 0;  ///< largest buffer
  bool operator==(const Device&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.text(m.name, kMaxName);
    io.text(m.description, kMaxName);
    io.choice(m.kind, DeviceKind::other);
    io.number(m.free_bytes);
    io.number(m.total_bytes);
    io.number(m.alignment);
    io.must(m.alignment != 0 && (m.alignment & (m.alignment - 1)) == 0 && m.alignment <= 65536,
            "an alignment that cannot be");
    io.number(m.max_buffer);
  }
};

struct Welcome {
  static constexpr Type kType = Type::welcome;
  std::uint32_t threads = 0;    ///< what OPEN's threads = 0 means
  std::vector<Device> devices;  ///< empty for a peer
  bool operator==(const Welcome&) const = default;

  template <typename Self, typename Io>
  static void fields(Self& m, Io& io) {
    io.number(m.threads);
    io.list(m.devices, kMaxDevices, 37, [&io](auto& device) { Device::fields(device, io); });
  }
};

}  // namespace caravan::fabric

// Where weights by reference come from. An interface: the content-addressed store on disk is another part of
// the fabric.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fabric/wire/weight_messages.h"

namespace caravan::fabric::worker {

/// Used by one thread at a time.
class WeightSource {
 public:
  WeightSource() = default;
  WeightSource(const WeightSource&) = delete;
  WeightSource& operator=(const WeightSource&) = delete;
  virtual ~WeightSource() = default;

  virtual bool has(const Content& content) = 0;
  /// Fills `into`, of exactly content.size bytes, with bytes that were verified to have the hash.
  virtual Result<void> read(const Content& content, std::span<char> into) = 0;

  /// Bytes of it that are kept from a stream that was cut: the stream goes on there.
  virtual std::uint64_t kept(const Content& content) = 0;
  /// Fills `into` with the first bytes of those.
  virtual Result<void> read_kept(const Content& content, std::span<char> into) = 0;
  /// Keeps more of it, in order. A source that has no room may keep nothing: that is no error.
  virtual Result<void> keep(const Content& content, std::uint64_t offset, std::string_view bytes) = 0;
  /// All of it came and has the right hash.
  virtual Result<void> finish(const Content& content) = 0;
  /// What came was not it.
  virtual void discard(const Content& content) = 0;
  /// All that was missing has come: there is time for what takes long. Does not block.
  virtual void settle() {}
};

/// Has nothing and keeps nothing.
class NoWeights final : public WeightSource {
 public:
  bool has(const Content&) override { return false; }
  Result<void> read(const Content&, std::span<char>) override;
  std::uint64_t kept(const Content&) override { return 0; }
  Result<void> read_kept(const Content&, std::span<char>) override { return {}; }
  Result<void> keep(const Content&, std::uint64_t, std::string_view) override { return {}; }
  Result<void> finish(const Content&) override { return {}; }
  void discard(const Content&) override {}
};

/// Keeps them in memory, for tests.
class WeightsInMemory final : public WeightSource {
 public:
  bool has(const Content& content) override;
  Result<void> read(const Content& content, std::span<char> into) override;
  std::uint64_t kept(const Content& content) override;
  Result<void> read_kept(const Content& content, std::span<char> into) override;
  Result<void> keep(const Content& content, std::uint64_t offset, std::string_view bytes) override;
  Result<void> finish(const Content& content) override;
  void discard(const Content& content) override;

  /// Puts a weight in; what it is called.
  Content add(std::string bytes);

 private:
  std::map<Hash, std::string> whole_;
  std::map<Hash, std::string> begun_;
};

Hash hash_of(std::string_view bytes);

}  // namespace caravan::fabric::worker

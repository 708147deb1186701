// Tensors that come in chunks, several of them begun at once, for whoever keeps no writers of its own: one
// call a chunk. What is stored of them is what a TensorWriter stores.
#pragma once

#include <cstdint>
#include <list>
#include <string_view>

#include "fabric/store/weights.h"

namespace caravan::fabric {

/// Not for use by two threads at once.
class Incoming {
 public:
  /// `weights` must outlive this.
  explicit Incoming(Weights& weights) : weights_(weights) {}

  /// The next bytes of a tensor; `offset` must be where the last ones ended, and, for the first ones, zero or
  /// what Weights::kept said. Otherwise, and when something of it has got lost meanwhile, it is not stored,
  /// and nothing else happens: proving the content is then up to the caller, as it is before finish().
  void keep(const Digest& hash, std::uint64_t size, std::uint64_t offset, std::string_view bytes);

  /// All of it was given to keep(). Code::incompatible when the content is another one; success does not say
  /// that it was stored.
  Result<void> finish(const Digest& hash);
  /// What came was not it: nothing stays for another attempt.
  void discard(const Digest& hash);

 private:
  struct Begun {
    Digest hash;
    TensorWriter writer;
  };
  std::list<Begun>::iterator find(const Digest& hash);

  Weights& weights_;
  std::list<Begun> begun_;  ///< the last one begun is the last
};

}  // namespace caravan::fabric

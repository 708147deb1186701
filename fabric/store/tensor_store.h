// A cache of tensors of all sizes, known by their SHA-256: what a worker was sent once it does not need
// again. Several processes may use one folder. docs/fabric-store.md has its layout.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fabric/store/pack.h"
#include "fabric/store/prune_policy.h"
#include "fabric/store/store_folder.h"
#include "fabric/store/tensor_writer.h"
#include "fabric/store/weight_source.h"

namespace caravan::fabric {

struct StoreStats {
  std::uint64_t damaged = 0;   ///< entries that were dropped because their content was another one
  std::uint64_t stored = 0;    ///< tensors
  std::uint64_t unstored = 0;  ///< tensors that could not be stored
  std::uint64_t pruned = 0;    ///< files
};

/// Every function may be called by several threads at once. Must outlive its writers.
class TensorStore : public WeightSource {
 public:
  /// Makes the folder. Blocks: reads its lists, and prunes when there is more in it than the limit.
  static Result<std::unique_ptr<TensorStore>> open(const fs::path& folder, StoreLimits limits);
  ~TensorStore() override = default;

  /// Once it has said yes the tensor is in use: no process prunes it as long as this store is open.
  bool has(const Digest& hash, std::uint64_t size) override;
  /// A damaged entry is dropped: then, and from then on, it is missing.
  Result<void> read(const Digest& hash, std::span<char> out) override;
  Result<void> stream(const Digest& hash, std::uint64_t size, const Sink& sink) override;

  /// How many bytes of it an earlier attempt left: always fewer than `size`. Takes microseconds.
  std::uint64_t kept(const Digest& hash, std::uint64_t size) const;
  /// Fills `out` with the first of those bytes. Nothing proves them before the whole tensor is there.
  Result<void> read_kept(const Digest& hash, std::span<char> out) const;

  /// Begins to take a tensor. What an earlier attempt left of it, `at_most` so much, goes to `sink` (which
  /// may be empty) and into the hash first; go on with writer.offset(). Never fails: when there is no room,
  /// or another thread or process is storing the same tensor, the writer only verifies, and says why
  /// (writer.not_stored()). Blocks: looks for room, reads what is there.
  TensorWriter begin(const Digest& hash, std::uint64_t size, const Sink& sink,
                     std::uint64_t at_most = ~std::uint64_t{0});

  /// Makes what was stored so far survive a power cut; without it that takes the system half a minute. Blocks
  /// for as long as the disk writes: once, at the end of a load. What is lost nevertheless is found out by
  /// its hash, so this is about time only.
  Result<void> flush();

  StoreStats stats() const;
  /// What all of it takes on the disk. Reads the folder's lists.
  Bytes used() const;

 private:
  friend class TensorWriter;
  struct PackPlace {
    std::shared_ptr<const fs::path> path;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  /// Where the bytes are; `in_pack`: their file has others too.
  struct Place {
    fs::path path;
    std::uint64_t offset = 0;
    bool in_pack = false;
  };

  TensorStore(StoreFolder folder, StoreLimits limits) : policy_(limits), folder_(std::move(folder)) {}

  void read_packs();
  std::optional<Place> find(const Digest& hash, std::uint64_t size);
  bool is_there(const Place& place, std::uint64_t size) const;
  void note_use(const Digest& hash, const fs::path& path);
  void drop_damaged(const Place& place, int fd);
  void forget_pack(const fs::path& path);
  template <typename Read>
  Result<void> read_verified(const Digest& hash, std::uint64_t size, const Read& read);

  bool has_room(std::uint64_t size) const;
  Result<void> make_room(std::uint64_t size);
  /// Whether there is room then.
  bool prune(Bytes needed);

  // for writers
  struct OpenPart {
    Descriptor file;
    std::uint64_t size = 0;
  };
  Result<OpenPart> open_part(const Digest& hash, std::uint64_t size);
  Result<void> commit_part(const Digest& hash, int fd);
  void discard_part(const Digest& hash, int fd);
  Result<void> commit_packed(const Digest& hash, std::string_view bytes);
  void count_unstored();

  const PrunePolicy policy_;
  mutable std::mutex mutex_;  ///< guards all that follows; held for the time of some system calls
  StoreFolder folder_;
  std::unordered_map<Digest, PackPlace, DigestHash> packed_;
  std::unordered_set<Digest, DigestHash> noted_;  ///< uses that the session tells
  std::optional<PackWriter> pack_;
  std::vector<fs::path> unsynced_;
  Bytes used_;  ///< as far as is known: others write too
  struct Full {
    std::uint64_t size;
    std::chrono::steady_clock::time_point since;
  };
  std::optional<Full> full_;  ///< the last time that there was no room
  StoreStats stats_;
};

}  // namespace caravan::fabric

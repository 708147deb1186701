#include "fabric/store/store_limit.h"

namespace caravan::fabric {

Result<Bytes> fair_share(const fs::path& folder) {
  constexpr std::uint64_t kPart = 4;
  const auto free = free_space(folder);
  if (!free) return free.error();
  Bytes room = *free;
  std::error_code failure;
  for (fs::recursive_directory_iterator at(folder, failure), end; !failure && at != end;
       at.increment(failure)) {
    std::error_code gone;
    const auto size = at->is_regular_file(gone) ? at->file_size(gone) : 0;
    if (!gone) room += Bytes{size};
  }
  return Bytes{room.count / kPart};
}

}  // namespace caravan::fabric

#include "fabric/worker/model_reader.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

namespace caravan::fabric::worker {
namespace {

constexpr int kGivesWay = 10;

}  // namespace

std::vector<fs::path> ggufs_of(const std::vector<fs::path>& paths) {
  std::vector<fs::path> models;
  for (const fs::path& path : paths) {
    std::error_code failure;
    if (!fs::is_directory(path, failure)) {
      models.push_back(path);
      continue;
    }
    std::vector<fs::path> inside;
    for (fs::directory_iterator at(path, failure), end; !failure && at != end; at.increment(failure)) {
      const fs::path& file = at->path();
      std::error_code no_file;
      if (file.extension() != ".gguf" || !at->is_regular_file(no_file)) continue;
      if (shards_of(file).front() == file) inside.push_back(file);
    }
    std::ranges::sort(inside);
    models.insert(models.end(), inside.begin(), inside.end());
  }
  return models;
}

ModelReader::ModelReader(LocalSource& into, std::vector<fs::path> models, const fs::path& manifests,
                         std::function<void(const std::string& line)> say)
    : done_(std::async(std::launch::async,
                       [this, &into, models = std::move(models), manifests, say = std::move(say)] {
                         // Computing goes first; on Linux this is about the calling thread only.
                         (void)::setpriority(PRIO_PROCESS, 0, kGivesWay);
                         const ManifestCache cache(manifests);
                         HashingControl control;
                         control.is_cancelled = [this] { return cancelled_.load(); };
                         for (const fs::path& model : models) {
                           const auto added = into.add(model, cache, control);
                           if (cancelled_) return;
                           if (!added) say(for_people(model) + " is not used: " + added.error().message);
                         }
                       })) {}

ModelReader::~ModelReader() {
  cancelled_ = true;
  done_.wait();
}

bool ModelReader::wait(std::chrono::milliseconds most) const {
  return done_.wait_for(most) == std::future_status::ready;
}

}  // namespace caravan::fabric::worker

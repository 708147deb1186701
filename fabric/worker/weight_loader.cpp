#include "fabric/worker/weight_loader.h"

#include <algorithm>

#include <fmt/format.h>

#include "fabric/store/packing.h"

namespace caravan::fabric::worker {
namespace {

/// Nothing for what is not packed.
Result<std::string> unpack_chunk(const Stream& chunk, const Content& content) {
  std::string bytes;
  if (chunk.packing == Packing::plain) return bytes;
  if (chunk.offset >= content.size)
    return Error{Code::invalid, "packed bytes beyond the end of a weight", "update Caravan on the master"};
  bytes.resize(std::min<std::uint64_t>(kMaxChunk, content.size - chunk.offset));
  if (const auto done = unpack(chunk.data, static_cast<unsigned>(chunk.packing), bytes); !done)
    return done.error();
  return bytes;
}

}  // namespace

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
  const auto unpacked = unpack_chunk(chunk, content);
  if (!unpacked) return unpacked.error();
  const std::string_view data = unpacked->empty() ? chunk.data : *unpacked;
  if (chunk.offset != awaited.bytes.size() || data.size() > content.size - awaited.bytes.size())
    return Error{Code::invalid, fmt::format("the weight {} does not come in order", chunk.weight),
                 "update Caravan on the master"};
  if (const auto kept = source_.keep(content, chunk.offset, data); !kept) return kept.error();
  awaited.bytes.append(data);
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

void WeightLoader::forget(std::uint32_t buffer) {
  std::erase_if(missing_, [buffer](const auto& one) { return one.second.weight.buffer == buffer; });
  std::erase_if(unreported_, [this](std::uint32_t number) { return missing_.count(number) == 0; });
}

}  // namespace caravan::fabric::worker

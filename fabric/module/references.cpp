#include "fabric/module/references.h"

#include <algorithm>
#include <utility>

#include "fabric/store/packing.h"

namespace caravan::fabric {
namespace {

/// A reference has 60 bytes: not worth it for less.
constexpr std::size_t kLeastBytes = 512;
/// A worker begins to read so much of its store while the rest is named.
constexpr std::uint64_t kAskAfter = std::uint64_t{32} << 20U;

}  // namespace

References::References(Streams& streams, Contents contents)
    : streams_(streams), contents_(std::move(contents)), stages_(streams.plan().stages.size()) {}

void References::ask(std::size_t stage) {
  stages_[stage].last_request = streams_.ask_missing(stage);
  stages_[stage].unasked = 0;
  streams_.flush();
}

bool References::refer(std::size_t stage, const ggml_tensor& tensor, const Region& region,
                       std::string_view bytes) {
  if (bytes.size() < kLeastBytes) return false;
  const auto content = contents_.of(tensor, bytes);
  return content && say(stage, region, {region.buffer, *content, contents_.type_of(*content), {}});
}

bool References::refer(std::size_t stage, const ggml_tensor& tensor, const Region& region,
                       std::string_view bytes, const Slice& slice) {
  if (bytes.size() < kLeastBytes) return false;
  const Content content{digest_of(bytes), bytes.size()};
  return say(stage, region, {region.buffer, content, static_cast<std::uint32_t>(tensor.type), slice});
}

bool References::say(std::size_t stage, const Region& region, const Said& said) {
  const std::lock_guard guard(mutex_);
  auto& mine = stages_[stage];
  if (mine.said.size() >= kMaxWeights) return false;
  const auto number = static_cast<std::uint32_t>(mine.said.size());
  streams_.say(stage, Weight{number, region.buffer, region.offset, said.content});
  mine.said.push_back(said);
  mine.unasked += said.content.size;
  open_ = true;
  if (mine.unasked >= kAskAfter) ask(stage);
  return true;
}

void References::forget_buffer(std::size_t stage, std::uint32_t buffer) {
  if (!open_) return;
  const std::lock_guard guard(mutex_);
  for (Said& said : stages_[stage].said) {
    if (said.buffer == buffer) said.is_needed = false;
  }
}

bool References::complete_buffer(std::size_t stage, std::uint32_t buffer) {
  if (!open_) return !streams_.failed();
  {
    const std::lock_guard guard(mutex_);
    const auto& said = stages_[stage].said;
    if (std::ranges::find(said, buffer, &Said::buffer) == said.end()) return !streams_.failed();
  }
  return complete();
}

/// Waits for all answers; what is missing of each stage, in the order in which it has to be sent.
bool References::collect(std::vector<std::vector<Sending>>& missing) {
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    if (stages_[i].unasked > 0) ask(i);
  }
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    if (!streams_.wait(i, stages_[i].last_request)) return false;
    std::vector<Sending> of_stage;
    for (const MissingWeight& one : streams_.take_missing(i)) {
      const auto& said = stages_[i].said;
      if (one.weight >= said.size() || one.have >= said[one.weight].content.size) {
        streams_.fail(i, "it misses a weight that nobody told it about");
        return false;
      }
      if (said[one.weight].is_needed) of_stage.push_back({i, one.weight, one.have});
    }
    missing.push_back(std::move(of_stage));
  }
  return true;
}

bool References::send_chunk(Sending& next) {
  const auto& said = stages_[next.stage].said[next.number];
  std::string bytes(std::min<std::uint64_t>(kMaxChunk, said.content.size - next.offset), '\0');
  const auto read = said.slice ? contents_.read(*said.slice, next.offset, bytes)
                               : contents_.read(said.content, next.offset, bytes);
  if (!read) {
    streams_.fail(next.stage, "its weights cannot be read: " + read.error().message);
    return false;
  }
  const auto width = packed_width(said.type);
  const auto packed = width ? pack(bytes, *width) : std::nullopt;
  const auto packing = packed ? static_cast<Packing>(*width) : Packing::plain;
  streams_.say(next.stage, Stream{next.number, next.offset, packing, packed ? *packed : bytes});
  next.offset += bytes.size();
  return !streams_.failed();
}

bool References::complete() {
  if (!open_) return !streams_.failed();
  const std::lock_guard guard(mutex_);
  if (!open_) return !streams_.failed();
  std::vector<std::vector<Sending>> missing;
  if (!collect(missing)) return false;
  // One stage after the other: what all of them wait for is the master's own way out, which turns do not make
  // wider; and TCP that measures each way (BBR) takes turns for a slow way: 33 seconds instead of 10 for two
  // workers on Wi-Fi.
  for (auto& of_stage : missing) {
    for (Sending& next : of_stage) {
      while (next.offset < stages_[next.stage].said[next.number].content.size) {
        if (!send_chunk(next)) return false;
      }
    }
  }
  for (auto& stage : stages_) stage = {};
  open_ = false;
  return streams_.flush();
}

}  // namespace caravan::fabric

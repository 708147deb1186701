#include "app/roster.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "link/membership_store.h"

namespace caravan::app {

namespace {

Error no_owner() {
  return {Code::invalid, "this device is no owner of its cluster",
          "run it on a device that `caravan status` marks with *"};
}

}  // namespace

std::uint64_t seconds_now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count());
}

Result<Roster> Roster::open(const fs::path& folder, const std::string& device, const std::string& cluster) {
  if (auto made = make_private_folder(folder); !made) return made.error();
  auto identity = link::Identity::load_or_create(folder);
  if (!identity) return identity.error();
  auto found = link::load_membership(folder);
  if (!found) return found.error();
  if (*found) return Roster(folder, std::move(*identity), std::move(**found));
  auto made = link::Membership::create(*identity, cluster, device, seconds_now());
  if (!made) return made.error();
  if (auto saved = link::save_membership(folder, *made); !saved) return saved.error();
  return Roster(folder, std::move(*identity), std::move(*made));
}

std::set<std::string> Roster::members() const {
  std::set<std::string> ids;
  for (const auto& [key, member] : membership_.state().members) ids.insert(link::device_id(key));
  return ids;
}

std::string Roster::name_of(const std::string& id) const {
  const auto key = key_of(id);
  if (!key) return link::short_id(id);
  const std::string& name = membership_.state().members.at(*key).name;
  const auto& members = membership_.state().members;
  const auto same = std::count_if(members.begin(), members.end(),
                                  [&](const auto& entry) { return entry.second.name == name; });
  return same > 1 ? name + " (" + link::short_id(id) + ")" : name;
}

std::string Roster::with_names(std::string text) const {
  for (const auto& [key, member] : membership_.state().members) {
    const std::string id = link::device_id(key);
    const std::string name = name_of(id);
    for (std::size_t at = text.find(id); at != std::string::npos; at = text.find(id, at + name.size()))
      text.replace(at, id.size(), name);
  }
  return text;
}

Result<std::string> Roster::find(const std::string& text) const {
  const auto member = membership_.find(text);
  if (!member) return member.error();
  return link::device_id(member->key);
}

std::optional<link::PublicKey> Roster::key_of(const std::string& id) const {
  for (const auto& [key, member] : membership_.state().members) {
    if (link::device_id(key) == id) return key;
  }
  return std::nullopt;
}

/// On a copy first: what could not be saved has not happened.
template <typename Change>
Result<void> Roster::change(Change make) {
  link::Membership next = membership_;
  if (auto done = make(next); !done) return done.error();
  if (auto saved = link::save_membership(folder_, next); !saved) return saved.error();
  membership_ = std::move(next);
  if (changed_) changed_();
  return {};
}

Result<void> Roster::add(const link::PublicKey& device, const std::string& name) {
  return change([&](link::Membership& next) { return next.admit(identity_, device, name, seconds_now()); });
}

Result<void> Roster::remove(const std::string& id) {
  if (!is_owner()) return no_owner();
  const auto key = key_of(id);
  if (!key) return Error{Code::not_found, name_of(id) + " is no member", ""};
  return change([&](link::Membership& next) { return next.remove(identity_, *key, seconds_now()); });
}

Result<void> Roster::rename(const std::string& id, const std::string& name) {
  if (!is_owner()) return no_owner();
  const auto key = key_of(id);
  if (!key) return Error{Code::not_found, name_of(id) + " is no member", ""};
  return change([&](link::Membership& next) { return next.rename(identity_, *key, name); });
}

Result<void> Roster::promote(const std::string& id) {
  if (!is_owner()) return no_owner();
  const auto key = key_of(id);
  if (!key) return Error{Code::not_found, name_of(id) + " is no member", ""};
  return change([&](link::Membership& next) { return next.promote(identity_, *key); });
}

Result<void> Roster::leave() {
  return change([&](link::Membership& next) { return next.leave(identity_); });
}

Result<link::Acceptance> Roster::accept(const std::string& document) {
  link::Acceptance outcome;
  link::Membership next = membership_;
  auto accepted = next.accept(document);
  if (!accepted) return accepted.error();
  outcome = *accepted;
  if (outcome.outcome != link::Outcome::adopted) return outcome;
  if (next.is_member(identity_.public_key()) && next.confirm_removals(identity_)) outcome.they_lack = true;
  if (auto saved = link::save_membership(folder_, next); !saved) return saved.error();
  membership_ = std::move(next);
  if (changed_) changed_();
  return outcome;
}

}  // namespace caravan::app

#include "link/membership.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace caravan::link {
namespace {

constexpr std::size_t kClusterIdBytes = 20;
constexpr std::size_t kShortestPrefix = 4;

/// A document as it arrived: each change is well formed, and nothing more is known.
struct Document {
  std::string cluster;
  std::vector<Change> changes;
};

Result<Document> read_document(std::string_view text) {
  const auto json = parse_json(text, kMaxDocumentBytes);
  if (!json) return json.error();
  Fields fields(*json, "membership");
  const std::uint64_t format = fields.whole("format");
  if (fields.ok() && format != kMembershipFormat) {
    return Error{
        Code::incompatible,
        fmt::format("the membership is of format {}, this version knows {}", format, kMembershipFormat),
        "install the same version of caravan on all devices"};
  }
  Document document;
  document.cluster = fields.text("cluster");
  const auto list = fields.list("changes");
  if (fields.ok() && list.size() > kMaxChanges) {
    fields.fail("changes", fmt::format("has more than {} entries", kMaxChanges));
  }
  for (std::size_t i = 0; i < list.size() && fields.ok(); ++i) {
    auto change = change_from_json(list[i], fmt::format("changes[{}]", i));
    if (!change) return change.error();
    document.changes.push_back(*std::move(change));
  }
  if (fields.ok() && document.changes.empty()) fields.fail("changes", "must not be empty");
  if (!fields.ok()) return fields.error();
  return document;
}

/// The hash of the change that created it: nobody can make a second cluster of the same id.
std::string cluster_id_of(const Change& creation) {
  return base32(ByteView(creation.id()).first(kClusterIdBytes));
}

/// How many were new. Signatures are checked here, once a change.
Result<std::size_t> insert_all(MembershipLog& log, std::vector<Change> changes) {
  std::size_t added = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (log.contains(changes[i].id())) continue;
    if (!changes[i].is_signed()) {
      return Error{Code::invalid, fmt::format("changes[{}]: the signature is not its author's", i), ""};
    }
    const auto inserted = log.insert(std::move(changes[i]));
    if (!inserted) return with_context(inserted.error(), fmt::format("changes[{}]", i));
    ++added;
  }
  return added;
}

bool name_is_taken(const MembershipState& state, const PublicKey& device, std::string_view name) {
  return std::any_of(state.members.begin(), state.members.end(),
                     [&](const auto& entry) { return entry.second.name == name && entry.first != device; });
}

std::string without_dashes(std::string_view text) {
  std::string bare(text);
  bare.erase(std::remove(bare.begin(), bare.end(), '-'), bare.end());
  return bare;
}

}  // namespace

Result<Membership> Membership::create(const Identity& owner, std::string cluster, std::string device,
                                      std::uint64_t now) {
  Change change{
      .kind = ChangeKind::create, .name = std::move(device), .cluster = std::move(cluster), .time = now};
  for (const std::string& name : {change.name, change.cluster}) {
    const std::string problem = name_problem(name);
    if (!problem.empty()) return Error{Code::invalid, fmt::format("a name {}", problem), ""};
  }
  change.sign(owner);
  Membership membership({}, cluster_id_of(change));
  if (auto inserted = membership.log_.insert(std::move(change)); !inserted) return inserted.error();
  return membership;
}

Result<Membership> Membership::parse(std::string_view text) {
  auto document = read_document(text);
  if (!document) return document.error();
  if (document->changes.front().kind != ChangeKind::create ||
      cluster_id_of(document->changes.front()) != document->cluster) {
    return Error{Code::invalid, "the membership does not begin with the creation of its cluster", ""};
  }
  Membership membership({}, document->cluster);
  auto added = insert_all(membership.log_, std::move(document->changes));
  if (!added) return added.error();
  return membership;
}

Result<Membership> Membership::join(std::string_view text, const PublicKey& inviter, const PublicKey& self) {
  auto membership = parse(text);
  if (!membership) return membership;
  if (!membership->is_owner(inviter)) {
    return Error{Code::invalid, "the device that sent this membership is not an owner in it",
                 "pair with one of the cluster's owners"};
  }
  if (!membership->is_member(self)) {
    return Error{Code::invalid, "this device is not in the membership that it was sent",
                 "join again: the owner may have changed its mind"};
  }
  return membership;
}

Result<Acceptance> Membership::accept(std::string_view text) {
  auto document = read_document(text);
  if (!document) return document.error();
  if (document->cluster != cluster_id_) {
    return Error{Code::invalid, "the membership is of another cluster", ""};
  }
  std::set<ChangeId> theirs;
  for (const Change& change : document->changes) theirs.insert(change.id());
  MembershipLog merged = log_;
  const auto added = insert_all(merged, std::move(document->changes));
  if (!added) return added.error();
  Acceptance acceptance;
  acceptance.they_lack = merged.size() > theirs.size();
  acceptance.outcome = *added > 0 ? Outcome::adopted : acceptance.they_lack ? Outcome::older : Outcome::same;
  log_ = std::move(merged);
  return acceptance;
}

/// Code::exhausted when it is time for a new cluster: earlier than the log is full, see kLastRemoval.
Result<void> Membership::check_room(ChangeKind kind) const {
  if (kind == ChangeKind::seen) return {};
  const bool removes = kind == ChangeKind::remove || kind == ChangeKind::leave;
  if (version() < (removes ? kLastRemoval : kLastOtherChange)) return {};
  return Error{Code::exhausted,
               fmt::format("this cluster has had {} changes of its membership{}", version(),
                           removes ? "" : ": devices can be removed and leave, and no more"),
               "create a new cluster and let the devices join it"};
}

Result<void> Membership::make(const Identity& author, Change change) {
  if (auto room = check_room(change.kind); !room) return room;
  if (!change.name.empty() || change.kind == ChangeKind::add || change.kind == ChangeKind::rename) {
    const std::string problem = name_problem(change.name);
    if (!problem.empty()) return Error{Code::invalid, fmt::format("the name {}", problem), ""};
    if (name_is_taken(state(), change.subject, change.name)) {
      return Error{Code::invalid, fmt::format("another device is called '{}'", change.name),
                   "choose another name"};
    }
  }
  if (change.parents.empty()) change.parents = log_.heads();
  change.sign(author);
  const auto inserted = log_.insert(std::move(change));
  if (!inserted) return inserted.error();
  return {};
}

Result<void> Membership::add(const Identity& author, const PublicKey& device, std::string name,
                             std::uint64_t now) {
  return make(author, {.kind = ChangeKind::add, .subject = device, .name = std::move(name), .time = now});
}

Result<void> Membership::admit(const Identity& author, const PublicKey& device, std::string_view wanted,
                               std::uint64_t now) {
  if (is_member(device) && is_owner(author.public_key())) return {};
  return add(author, device, free_name(wanted), now);
}

std::string Membership::free_name(std::string_view wanted) const {
  std::string name(wanted);
  for (int number = 2; name_is_taken(state(), {}, name); ++number) {
    const std::string suffix = fmt::format("-{}", number);
    std::size_t length = std::min(wanted.size(), kMaxNameBytes - suffix.size());
    // Not in the middle of a character: bytes that continue one are 10xxxxxx in UTF-8.
    while (length > 0 && length < wanted.size() &&
           (static_cast<unsigned char>(wanted[length]) & 0xc0U) == 0x80U) {
      --length;
    }
    name = std::string(wanted.substr(0, length)) + suffix;
  }
  return name;
}

Result<void> Membership::remove(const Identity& author, const PublicKey& device, std::uint64_t now) {
  return make(author, {.kind = ChangeKind::remove, .subject = device, .time = now});
}

Result<void> Membership::rename(const Identity& author, const PublicKey& device, std::string name) {
  return make(author, {.kind = ChangeKind::rename, .subject = device, .name = std::move(name)});
}

Result<void> Membership::promote(const Identity& author, const PublicKey& device) {
  return make(author, {.kind = ChangeKind::promote, .subject = device});
}

Result<void> Membership::leave(const Identity& author) {
  Change change{.kind = ChangeKind::leave};
  const auto let_in = log_.let_in_by(author.public_key());
  if (let_in && !is_owner(author.public_key())) change.parents = {*let_in};
  return make(author, std::move(change));
}

bool Membership::confirm_removals(const Identity& self) {
  bool any = false;
  while (const auto removal = log_.unconfirmed_removal(self.public_key())) {
    if (!make(self, {.kind = ChangeKind::seen, .parents = {*removal}})) break;  // the log is full
    any = true;
  }
  return any;
}

MembershipSummary Membership::summary() const { return {cluster_id_, version(), hex(log_.digest())}; }

Result<Member> Membership::find(std::string_view text) const {
  const std::string prefix = without_dashes(text);
  std::vector<Member> named;
  std::vector<Member> by_id;
  std::vector<std::string> names;
  for (const auto& [key, member] : state().members) {
    names.push_back(member.name);
    if (member.name == text) named.push_back(member);
    const bool fits = prefix.size() >= kShortestPrefix && device_id(key).starts_with(prefix);
    if (fits) by_id.push_back(member);
  }
  const auto& found = named.empty() ? by_id : named;
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    return Error{Code::invalid, fmt::format("'{}' fits {} devices", text, found.size()),
                 "give more of the device's id"};
  }
  const std::string meant = closest_match(text, names);
  return Error{
      Code::not_found, fmt::format("no device of this cluster is called '{}'", printable(text)),
      meant.empty() ? "`caravan status` lists the devices" : fmt::format("did you mean '{}'?", meant)};
}

std::string Membership::document() const {
  Json changes = Json::array();
  for (const Change* change : log_.in_order()) changes.push_back(to_json(*change));
  return dump_json(
      {{"format", kMembershipFormat}, {"cluster", cluster_id_}, {"changes", std::move(changes)}});
}

Json to_json(const Membership& membership) {
  const MembershipState& state = membership.state();
  Json members = Json::array();
  for (const auto& [key, member] : state.members) {
    members.push_back({{"id", device_id(key)},
                       {"key", key_text(key)},
                       {"name", member.name},
                       {"is_owner", member.is_owner},
                       {"joined_at", member.joined_at}});
  }
  Json removed = Json::array();
  for (const auto& [key, former] : state.removed) {
    removed.push_back({{"id", device_id(key)},
                       {"name", former.name},
                       {"at_version", former.at_version},
                       {"left", former.left}});
  }
  return {{"cluster", membership.cluster_id()},
          {"name", state.cluster_name},
          {"version", membership.version()},
          {"members", std::move(members)},
          {"removed", std::move(removed)}};
}

}  // namespace caravan::link

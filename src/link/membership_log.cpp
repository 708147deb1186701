#include "link/membership_log.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

namespace caravan::link {
namespace {

/// Whether `removal` would void `it`, were both made at the same time (rule 2).
bool aims_at(const Change& removal, const Change& it) {
  const bool lets_in = it.kind == ChangeKind::add || it.kind == ChangeKind::promote;
  return it.author == removal.subject || (lets_in && it.subject == removal.subject);
}

}  // namespace

// What arrives, and where it is put.

Result<bool> MembershipLog::insert(Change change) {
  const ChangeId id = change.id();
  if (contains(id)) return false;
  auto entry = make_entry(std::move(change), id);
  if (!entry) return entry.error();
  const Set quarrels = quarrels_with(*entry);
  if (quarrels.count() > kMaxQuarrels) {
    return Error{Code::exhausted, fmt::format("more than {} removals contradict each other", kMaxQuarrels),
                 "create a new cluster, without devices that a stranger may hold"};
  }
  if (const std::string why = refusal_in_past(*entry); !why.empty()) {
    return Error{Code::invalid, fmt::format("{} was not to be made: {}", name_of(entry->change.kind), why),
                 ""};
  }
  quarrels_ = quarrels;
  const bool knew_all = entry->past == all();
  const std::size_t place = entries_.size();
  for (const ChangeId& parent : entry->change.parents) heads_.erase(index_.at(parent));
  heads_.insert(place);
  index_[id] = place;
  for (const std::size_t removal : removals_) {
    entries_[removal].voids[place] = !entry->past[removal] && aims_at(this->change(removal), entry->change);
  }
  if (entry->change.kind == ChangeKind::remove) removals_.push_back(place);
  const auto before = [&](std::size_t a, const Entry& b) {
    return std::tie(entries_[a].past_size, entries_[a].id) < std::tie(b.past_size, b.id);
  };
  order_.insert(std::lower_bound(order_.begin(), order_.end(), *entry, before), place);
  entries_.push_back(*std::move(entry));
  // Who knew everything made nothing at the same time as others: no need to weigh it all again.
  if (knew_all && entries_.back().change.kind != ChangeKind::seen) {
    apply(state_, entries_.back().change, entries_.size());
  } else {
    state_ = resolve(all());
  }
  return true;
}

Result<MembershipLog::Entry> MembershipLog::make_entry(Change change, const ChangeId& id) const {
  if (entries_.size() >= kMaxChanges) {
    return Error{Code::exhausted, fmt::format("the membership has had its {} changes", kMaxChanges),
                 "create a new cluster and let the devices join it"};
  }
  Entry entry;
  for (const ChangeId& parent : change.parents) {
    const auto found = index_.find(parent);
    if (found == index_.end()) {
      return Error{Code::not_found,
                   fmt::format("{} follows {}, which is not known", name_of(change.kind), hex(parent)), ""};
    }
    entry.past |= entries_[found->second].past;
    entry.past.set(found->second);
  }
  entry.past_size = entry.past.count();
  entry.id = id;
  entry.change = std::move(change);
  for (std::size_t i = 0; i < entries_.size() && entry.change.kind == ChangeKind::remove; ++i) {
    entry.voids[i] = !entry.past[i] && aims_at(entry.change, this->change(i));
  }
  return entry;
}

/// The removals of which one was made at the same time as another that it could undo, with a new one.
MembershipLog::Set MembershipLog::quarrels_with(const Entry& entry) const {
  Set quarrels = quarrels_;
  if (entry.change.kind != ChangeKind::remove) return quarrels;
  for (const std::size_t i : removals_) {
    const Entry& other = entries_[i];
    const bool touches = entry.voids[i] || (entry.voids & other.past).any() ||
                         aims_at(other.change, entry.change) || (other.voids & entry.past).any();
    if (entry.past[i] || !touches) continue;
    quarrels.set(i);
    quarrels.set(entries_.size());
  }
  return quarrels;
}

std::string MembershipLog::refusal_in_past(const Entry& entry) const {
  const Change& change = entry.change;
  if (change.kind == ChangeKind::create) return entries_.empty() ? "" : "another change created the cluster";
  const MembershipState before = entry.past == all() ? state_ : resolve(entry.past);
  std::string why = refusal_of_parents(change, before);
  return why.empty() ? refusal(before, change) : why;
}

/// What members that are no owners can make leaves them nothing to choose, so that they cannot fill the log:
/// a `seen` for each removal, a `leave` for each time that they were let in.
std::string MembershipLog::refusal_of_parents(const Change& change, const MembershipState& before) const {
  const bool is_seen = change.kind == ChangeKind::seen;
  if (!is_seen && (change.kind != ChangeKind::leave || before.is_owner(change.author))) return "";
  const std::string_view why =
      is_seen ? "it confirms no removal" : "who is no owner leaves what it was let in by, and nothing else";
  if (change.parents.size() != 1) return std::string(why);
  const Change& parent = this->change(index_.at(change.parents.front()));
  if (!is_seen)
    return parent.kind == ChangeKind::add && parent.subject == change.author ? "" : std::string(why);
  if (parent.kind != ChangeKind::remove) return std::string(why);
  return parent.author == change.author ? "it confirms the author's own removal" : "";
}

MembershipLog::Set MembershipLog::all() const {
  Set set;
  for (std::size_t i = 0; i < entries_.size(); ++i) set.set(i);
  return set;
}

std::vector<ChangeId> MembershipLog::heads() const {
  std::vector<ChangeId> ids;
  for (const std::size_t head : heads_) ids.push_back(entries_[head].id);
  std::sort(ids.begin(), ids.end());
  if (ids.size() > kMaxParents) ids.resize(kMaxParents);
  return ids;
}

std::vector<const Change*> MembershipLog::in_order() const {
  std::vector<const Change*> changes;
  for (const std::size_t i : order_) changes.push_back(&change(i));
  return changes;
}

Hash MembershipLog::digest() const {
  std::string ids;
  for (const auto& [id, place] : index_) ids += text_of(id);
  return sha256(ids);
}

// What follows from a set of changes, when it is decided which removals hold (rules 2 and 4).

bool MembershipLog::concurrent(std::size_t a, std::size_t b) const {
  return a != b && !entries_[a].past[b] && !entries_[b].past[a];
}

MembershipLog::Set MembershipLog::voided_by(const Set& removals) const {
  Set voided;
  for (const std::size_t removal : removals_) {
    if (removals[removal]) voided |= entries_[removal].voids;
  }
  return voided;
}

MembershipState MembershipLog::replay(const Set& subset, const Set& removals) const {
  MembershipState state;
  const Set voided = voided_by(removals);
  std::vector<std::size_t> leaves;  // carried out
  for (const std::size_t i : order_) {
    const Change& it = change(i);
    const bool holds = it.kind != ChangeKind::remove || removals[i];
    const bool has_left =
        it.kind == ChangeKind::add && std::any_of(leaves.begin(), leaves.end(), [&](auto leave) {
          return change(leave).author == it.subject && concurrent(leave, i);
        });
    if (!subset[i] || !holds || voided[i] || has_left || !refusal(state, it).empty()) continue;
    apply(state, it, entries_[i].past_size + 1);
    if (it.kind == ChangeKind::leave) leaves.push_back(i);
  }
  return state;
}

std::optional<ChangeId> MembershipLog::let_in_by(const PublicKey& key) const {
  for (auto i = order_.rbegin(); i != order_.rend(); ++i) {
    if (change(*i).kind == ChangeKind::add && change(*i).subject == key) return entries_[*i].id;
  }
  return std::nullopt;
}

// Which removals hold (rule 3).

MembershipLog::Set MembershipLog::decide(const Set& subset) const {
  std::vector<std::size_t> undecided;
  bool in_a_row = true;
  Set accepted;
  for (const std::size_t i : order_) {
    if (!subset[i] || change(i).kind != ChangeKind::remove) continue;
    in_a_row = in_a_row && (undecided.empty() || entries_[i].past[undecided.back()]);
    undecided.push_back(i);
    accepted.set(i);
  }
  if (in_a_row) return accepted;  // nearly always: none was made at the same time as another
  accepted.reset();
  while (!undecided.empty()) {
    const std::size_t next = next_to_decide(undecided, accepted, subset);
    undecided.erase(std::find(undecided.begin(), undecided.end(), next));
    if (stands(next, accepted) && !undoes_any(next, accepted)) accepted.set(next);
  }
  return accepted;
}

/// Whether its author may remove, when `accepted` are the removals that hold.
bool MembershipLog::stands(std::size_t removal, const Set& accepted) const {
  return !voided_by(accepted)[removal] &&
         replay(entries_[removal].past, accepted).is_owner(change(removal).author);
}

bool MembershipLog::undoes(std::size_t removal, std::size_t other, const Set& accepted) const {
  const Set& voids = entries_[removal].voids;
  if (!voids[other] && (voids & entries_[other].past).none()) return false;  // cheaper than to try
  Set with = accepted;
  with.set(removal);
  return !stands(other, with);
}

bool MembershipLog::undoes_any(std::size_t removal, const Set& accepted) const {
  return std::any_of(removals_.begin(), removals_.end(),
                     [&](std::size_t other) { return accepted[other] && undoes(removal, other, accepted); });
}

std::size_t MembershipLog::next_to_decide(const std::vector<std::size_t>& undecided, const Set& accepted,
                                          const Set& subset) const {
  const auto is_safe = [&](std::size_t removal) {
    return std::none_of(undecided.begin(), undecided.end(),
                        [&](std::size_t other) { return undoes(other, removal, accepted); });
  };
  for (const std::size_t removal : undecided) {
    if (!stands(removal, accepted) || is_safe(removal)) return removal;
  }
  return best_of(first_circle(undecided, accepted), accepted, subset);
}

/// Those that would undo each other, directly or in a circle, and that no others would undo.
std::vector<std::size_t> MembershipLog::first_circle(const std::vector<std::size_t>& undecided,
                                                     const Set& accepted) const {
  const std::size_t n = undecided.size();
  std::vector<std::vector<bool>> reaches(n, std::vector<bool>(n, false));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      reaches[i][j] = i == j || undoes(undecided[i], undecided[j], accepted);
    }
  }
  for (std::size_t k = 0; k < n; ++k) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        if (reaches[i][k] && reaches[k][j]) reaches[i][j] = true;
      }
    }
  }
  std::vector<std::size_t> circle;
  for (std::size_t j = 0; j < n && circle.empty(); ++j) {
    for (std::size_t i = 0; i < n; ++i) {
      if (reaches[i][j]) circle.push_back(undecided[i]);
      if (reaches[i][j] && !reaches[j][i]) {
        circle.clear();  // i would undo j, but not the other way round: j is not in the first circle
        break;
      }
    }
  }
  return circle;
}

std::size_t MembershipLog::best_of(const std::vector<std::size_t>& circle, const Set& accepted,
                                   const Set& subset) const {
  const auto voices = voices_against(circle, accepted, subset);
  const auto rank = [&](std::size_t i) {
    const auto counted = voices.find(change(i).subject);
    return std::tuple(counted == voices.end() ? std::size_t{0} : counted->second,
                      change(i).author == state_.creator);
  };
  return *std::max_element(circle.begin(), circle.end(), [&](std::size_t a, std::size_t b) {
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    return std::tie(change(b).author, entries_[b].id) < std::tie(change(a).author, entries_[a].id);
  });
}

/// How many say of each that it is out, by removing it or confirming that. Whoever says so of two has no
/// voice, and neither has anybody who was let in by what one of the removals would void: a friend made up for
/// this.
std::map<PublicKey, std::size_t> MembershipLog::voices_against(const std::vector<std::size_t>& circle,
                                                               const Set& accepted, const Set& subset) const {
  Set quiet = subset;
  Set holding = accepted;
  for (const std::size_t removal : circle) {
    quiet.reset(removal);
    holding.set(removal);
  }
  const MembershipState uncontested = replay(quiet, holding);
  std::map<PublicKey, std::set<PublicKey>> said;
  for (const std::size_t i : order_) {
    const bool confirms = change(i).kind == ChangeKind::seen;
    const std::size_t removal = confirms ? index_.at(change(i).parents.front()) : i;
    const bool meant = std::find(circle.begin(), circle.end(), removal) != circle.end();
    const PublicKey& voice = change(i).author;
    // Who has left since, or was removed, keeps the voice it had: otherwise one would only have to wait.
    const bool may = uncontested.is_member(voice) || uncontested.removed.contains(voice);
    if (subset[i] && meant && may) said[voice].insert(change(removal).subject);
  }
  std::map<PublicKey, std::size_t> counted;
  for (const auto& [voice, subjects] : said) {
    if (subjects.size() == 1) ++counted[*subjects.begin()];
  }
  return counted;
}

std::optional<ChangeId> MembershipLog::unconfirmed_removal(const PublicKey& voter) const {
  if (!state_.is_member(voter)) return std::nullopt;
  Set confirmed;
  for (const Entry& entry : entries_) {
    const bool mine = entry.change.kind == ChangeKind::seen && entry.change.author == voter;
    if (mine) confirmed.set(index_.at(entry.change.parents.front()));
  }
  const Set contradicted = voided_by(confirmed);
  for (const std::size_t i : removals_) {
    const auto former = state_.removed.find(change(i).subject);
    const bool holds = former != state_.removed.end() && !former->second.left &&
                       former->second.at_version == entries_[i].past_size + 1;
    if (!holds || confirmed[i] || change(i).author == voter || contradicted[i]) continue;
    const MembershipState before = resolve(entries_[i].past);
    if (before.is_owner(change(i).subject) && before.is_member(voter)) return entries_[i].id;
  }
  return std::nullopt;
}

}  // namespace caravan::link

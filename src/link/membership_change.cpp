#include "link/membership_change.h"

#include <algorithm>

#include <fmt/format.h>

namespace caravan::link {
namespace {

constexpr std::string_view kContext = "caravan membership change 1";

struct KindRow {
  ChangeKind kind;
  std::string_view name;
  bool has_subject;
  bool has_name;
  bool has_time;
};

constexpr std::array<KindRow, 7> kKinds{{
    {ChangeKind::create, "create", false, true, true},
    {ChangeKind::add, "add", true, true, true},
    {ChangeKind::remove, "remove", true, false, true},
    {ChangeKind::rename, "rename", true, true, false},
    {ChangeKind::promote, "promote", true, false, false},
    {ChangeKind::leave, "leave", false, false, false},
    {ChangeKind::seen, "seen", false, false, false},
}};

const KindRow& row_of(ChangeKind kind) {
  return *std::find_if(kKinds.begin(), kKinds.end(), [&](const KindRow& row) { return row.kind == kind; });
}

Json unsigned_json(const Change& change) {
  const KindRow& row = row_of(change.kind);
  Json parents = Json::array();
  for (const ChangeId& parent : change.parents) parents.push_back(hex(parent));
  Json value{{"kind", row.name}, {"author", key_text(change.author)}, {"parents", std::move(parents)}};
  if (row.has_subject) value["subject"] = key_text(change.subject);
  if (row.has_name) value["name"] = change.name;
  if (row.has_time) value["time"] = change.time;
  if (change.kind == ChangeKind::create) value["cluster"] = change.cluster;
  return value;
}

PublicKey key_in(Fields& fields, std::string_view name) {
  const auto key = key_from_text(fields.text(name));
  if (!key) fields.fail(name, "must be a key: 64 lower-case hex digits");
  return key.value_or(PublicKey{});
}

std::string name_in(Fields& fields, std::string_view name) {
  std::string text = fields.text(name);
  if (const std::string problem = name_problem(text); !problem.empty()) fields.fail(name, problem);
  return text;
}

std::vector<ChangeId> parents_in(Fields& fields, const Json& value, bool is_first) {
  std::vector<ChangeId> parents;
  const auto list = value.find("parents");
  if (list == value.end() || !list->is_array() || list->size() > kMaxParents) {
    fields.fail("parents", fmt::format("must be a list of at most {}", kMaxParents));
    return parents;
  }
  for (const Json& item : *list) {
    const auto id = exactly<32>(item.is_string() ? from_hex(item.get<std::string>()) : std::nullopt);
    if (!id) fields.fail("parents", "must hold ids: 64 lower-case hex digits each");
    parents.push_back(id.value_or(ChangeId{}));
  }
  // Strictly ascending: sorted, and no two the same.
  const auto disorder = std::adjacent_find(parents.begin(), parents.end(),
                                           [](const ChangeId& a, const ChangeId& b) { return !(a < b); });
  if (disorder != parents.end()) fields.fail("parents", "must be sorted, without repeats");
  if (parents.empty() != is_first) fields.fail("parents", is_first ? "must be empty" : "must not be empty");
  return parents;
}

}  // namespace

std::string_view name_of(ChangeKind kind) { return row_of(kind).name; }

std::string Change::signed_bytes() const { return dump_json(unsigned_json(*this)); }

void Change::sign(const Identity& identity) {
  author = identity.public_key();
  signature = identity.sign(kContext, signed_bytes());
}

bool Change::is_signed() const { return verify(author, kContext, signed_bytes(), signature); }

Json to_json(const Change& change) {
  Json value = unsigned_json(change);
  value["signature"] = signature_text(change.signature);
  return value;
}

Result<Change> change_from_json(const Json& value, const std::string& where) {
  Fields fields(value, where);
  const std::string kind = fields.text("kind");
  const auto* const row =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const KindRow& known) { return known.name == kind; });
  if (row == kKinds.end()) fields.fail("kind", "is no change that this version knows");
  if (!fields.ok()) return fields.error();
  Change change;
  change.kind = row->kind;
  change.author = key_in(fields, "author");
  change.parents = parents_in(fields, value, row->kind == ChangeKind::create);
  if (row->has_subject) change.subject = key_in(fields, "subject");
  if (row->has_name) change.name = name_in(fields, "name");
  if (row->has_time) change.time = fields.whole("time");
  if (row->kind == ChangeKind::create) change.cluster = name_in(fields, "cluster");
  const auto signature = signature_from_text(fields.text("signature"));
  if (!signature) fields.fail("signature", "must be 128 lower-case hex digits");
  if (!fields.ok()) return fields.error();
  change.signature = *signature;
  if (to_json(change) != value) {
    return Error{Code::invalid, fmt::format("{}: has a field that a '{}' does not have", where, kind), ""};
  }
  return change;
}

std::string name_problem(std::string_view name) {
  if (name.empty()) return "must not be empty";
  if (name.size() > kMaxNameBytes) return fmt::format("must be at most {} bytes long", kMaxNameBytes);
  if (name.front() == ' ' || name.back() == ' ') return "must not begin or end with a space";
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto byte = static_cast<unsigned char>(name[i]);
    // U+0080 to U+009F are control characters too; in UTF-8 they are 0xc2 and that byte.
    const bool high_control =
        byte == 0xc2U && i + 1 < name.size() && static_cast<unsigned char>(name[i + 1]) < 0xa0U;
    if (byte < 0x20U || byte == 0x7fU || high_control) return "must not have control characters";
  }
  // The writer replaces what is not UTF-8, so that it would not come back as it was.
  const Json written = Json::parse(dump_json(Json(name)), nullptr, false);
  return written == Json(name) ? "" : "must be UTF-8";
}

}  // namespace caravan::link

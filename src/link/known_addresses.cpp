#include "link/known_addresses.h"

#include <algorithm>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "base/json.h"

namespace caravan::link {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr Bytes kMaxFile = Bytes{256U << 10U};
constexpr std::size_t kMaxHost = 64;

/// An IP address; of IPv6 perhaps with the name of an interface.
bool is_host(const std::string& text) {
  if (text.size() > kMaxHost) return false;
  boost::system::error_code failure;
  const std::string address = text.substr(0, text.find('%'));
  (void)boost::asio::ip::make_address(address, failure);
  return !failure &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F && c != '"'; });
}

KnownAddress read_address(const Json& json, const std::string& where, Fields& device) {
  Fields fields(json, where);
  KnownAddress known;
  known.address.host = fields.text("host");
  const std::uint64_t port = fields.whole("port");
  known.used = fields.whole_or("used", 0);
  if (fields.ok() && !is_host(known.address.host)) fields.fail("host", "is no IP address");
  if (fields.ok() && (port == 0 || port > 0xFFFFU)) fields.fail("port", "must be 1 to 65535");
  if (!fields.ok()) device.fail(fields.error());
  known.address.port = static_cast<std::uint16_t>(port);
  return known;
}

void sort_by_use(std::vector<KnownAddress>& addresses) {
  std::stable_sort(addresses.begin(), addresses.end(),
                   [](const KnownAddress& a, const KnownAddress& b) { return a.used > b.used; });
}

}  // namespace

Result<KnownAddresses> KnownAddresses::parse(std::string_view json) {
  const auto parsed = parse_json(json, kMaxFile.count);
  if (!parsed) return parsed.error();
  if (!parsed->is_object()) return Error{Code::invalid, "it is no JSON object", ""};
  Fields fields(*parsed, "addresses");
  if (const std::uint64_t version = fields.whole("version"); fields.ok() && version > kVersion) {
    return Error{Code::incompatible,
                 fmt::format("the addresses are of version {}, known is {}", version, kVersion),
                 "update Caravan"};
  }
  KnownAddresses all;
  std::size_t number = 0;
  for (const Json& entry : fields.list("devices")) {
    const std::string where = fmt::format("devices[{}]", number++);
    Fields device(entry, where);
    const std::string id = device.text("id");
    if (device.ok() && !is_device_id(id)) device.fail("id", "is no device's id");
    const std::vector<Json> list = device.list("addresses");
    for (auto address = list.rbegin(); address != list.rend(); ++address) {  // the first ends up in front
      const KnownAddress known = read_address(*address, where + ".addresses", device);
      if (device.ok()) all.used(id, known.address, known.used);
    }
    if (!device.ok()) fields.fail(device.error());
  }
  if (!fields.ok()) return fields.error();
  return all;
}

std::string KnownAddresses::json() const {
  Json devices = Json::array();
  for (const auto& [id, addresses] : devices_) {
    Json list = Json::array();
    for (const KnownAddress& known : addresses) {
      list.push_back({{"host", known.address.host}, {"port", known.address.port}, {"used", known.used}});
    }
    devices.push_back({{"id", id}, {"addresses", std::move(list)}});
  }
  return dump_json({{"version", kVersion}, {"devices", std::move(devices)}}) + "\n";
}

void KnownAddresses::used(const std::string& device, const LinkAddress& address, std::uint64_t now) {
  std::vector<KnownAddress>& addresses = devices_[device];
  std::erase_if(addresses, [&](const KnownAddress& known) { return known.address == address; });
  addresses.insert(addresses.begin(), {address, now});
  sort_by_use(addresses);
  if (addresses.size() > kMaxAddresses) addresses.pop_back();
  if (devices_.size() <= kMaxDevices) return;
  const auto oldest = std::min_element(devices_.begin(), devices_.end(), [](const auto& a, const auto& b) {
    return a.second.front().used < b.second.front().used;
  });
  devices_.erase(oldest);
}

void KnownAddresses::keep_only(const std::set<std::string>& devices) {
  std::erase_if(devices_, [&](const auto& entry) { return devices.count(entry.first) == 0; });
}

void KnownAddresses::forget(const std::string& device, const LinkAddress& address) {
  const auto known = devices_.find(device);
  if (known == devices_.end()) return;
  std::erase_if(known->second, [&](const KnownAddress& each) { return each.address == address; });
  if (known->second.empty()) devices_.erase(known);
}

std::vector<KnownAddress> KnownAddresses::of(const std::string& device) const {
  const auto known = devices_.find(device);
  return known == devices_.end() ? std::vector<KnownAddress>{} : known->second;
}

fs::path addresses_path() { return caravan_home() / "addresses.json"; }

Result<KnownAddresses> load_addresses(const fs::path& path) {
  const auto text = read_file(path, kMaxFile);
  if (!text)
    return text.error().code == Code::not_found ? Result<KnownAddresses>(KnownAddresses{}) : text.error();
  auto parsed = KnownAddresses::parse(*text);
  if (!parsed) return with_context(parsed.error(), path.string());
  return parsed;
}

Result<void> save_addresses(const fs::path& path, const KnownAddresses& addresses) {
  return write_file_atomically(path, addresses.json());
}

}  // namespace caravan::link

#include "base/result.h"

#include <array>

namespace caravan {
namespace {

struct Row {
  Code code;
  std::string_view name;
  int exit_code;
  unsigned http_status;
};

constexpr std::array<Row, 8> kErrorTable{{
    {Code::invalid, "invalid", 2, 400},
    {Code::not_found, "not_found", 1, 404},
    {Code::unavailable, "unavailable", 3, 503},
    {Code::disconnected, "disconnected", 3, 502},
    {Code::incompatible, "incompatible", 1, 409},
    {Code::exhausted, "exhausted", 1, 507},
    {Code::interrupted, "interrupted", 130, 503},
    {Code::bug, "bug", 1, 500},
}};

const Row& row_of(Code code) {
  for (const Row& row : kErrorTable) {
    if (row.code == code) return row;
  }
  return kErrorTable.back();
}

}  // namespace

std::string_view name_of(Code code) { return row_of(code).name; }

Code code_from_name(std::string_view name) {
  for (const Row& row : kErrorTable) {
    if (row.name == name) return row.code;
  }
  return Code::bug;
}

int exit_code_of(Code code) { return row_of(code).exit_code; }
unsigned http_status_of(Code code) { return row_of(code).http_status; }

Error with_context(Error error, std::string_view context) {
  error.message = std::string(context) + ": " + error.message;
  return error;
}

}  // namespace caravan

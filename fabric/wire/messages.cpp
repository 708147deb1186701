#include "fabric/wire/messages.h"

#include <array>

namespace caravan::fabric {
namespace {

/// At the place of each ErrorCode.
constexpr std::array<Code, 8> kCodes{Code::invalid,      Code::not_found,    Code::unavailable,
                                     Code::disconnected, Code::incompatible, Code::exhausted,
                                     Code::interrupted,  Code::bug};

}  // namespace

ErrorMessage to_message(const Error& error, std::uint32_t stage, std::uint16_t about) {
  ErrorMessage message;
  for (std::size_t i = 0; i < kCodes.size(); ++i) {
    if (kCodes.at(i) == error.code) message.code = static_cast<ErrorCode>(i);
  }
  message.stage = stage;
  message.about = about;
  message.message = error.message;
  message.hint = error.hint;
  return message;
}

Error to_error(const ErrorMessage& message) {
  return {kCodes.at(static_cast<std::size_t>(message.code)), message.message, message.hint};
}

}  // namespace caravan::fabric

// Errors as values: a Result<T> is a T or an Error that says what happened and what to do about it.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace caravan {

/// What the caller should do about an error; one table (error_table in result.cpp) maps each to its
/// HTTP status and exit code.
enum class Code {
  invalid,       ///< the request itself is wrong: do not repeat it unchanged
  not_found,     ///< what was named does not exist
  unavailable,   ///< not now: try again later
  disconnected,  ///< the other side went away
  incompatible,  ///< versions, builds or capabilities do not match
  exhausted,     ///< memory, disk or a budget is used up
  interrupted,   ///< a person or a signal asked to stop
  bug,           ///< a defect of Caravan itself
};

/// Name as it is written in JSON, e.g. "not_found".
std::string_view name_of(Code code);
/// The reverse of name_of; unknown names are `bug`.
Code code_from_name(std::string_view name);
/// 0 ok, 1 failed, 2 usage, 3 unavailable, 130 interrupted.
int exit_code_of(Code code);
unsigned http_status_of(Code code);

/// What went wrong. `message` is one line of cause, `hint` one line of cure; both are meant for people.
struct Error {
  Code code = Code::bug;
  std::string message;
  std::string hint;
};

/// `error` with "context: " put before its message.
Error with_context(Error error, std::string_view context);

/// A T or an Error. value() and error() on the wrong alternative are bugs and throw std::bad_variant_access.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  const Error& error() const { return std::get<1>(state_); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return error_.value(); }

 private:
  std::optional<Error> error_;
};

}  // namespace caravan

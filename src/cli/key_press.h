// One key press, or the first letter of a line from a pipe.
#pragma once

#include <boost/asio/awaitable.hpp>

namespace caravan::cli {

/// The next character of stdin, without waiting for the end of the line where it is a terminal; 0 at the end
/// of the input. Cancellable; a terminal is as it was before afterwards.
boost::asio::awaitable<char> next_key();

}  // namespace caravan::cli

// Owns a file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace caravan {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      (void)close_now();
      fd_ = other.release();
    }
    return *this;
  }
  ~Descriptor() { (void)close_now(); }

  /// -1 when it owns nothing.
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  /// What close() said: 0, or -1 with errno.
  int close_now() {
    const int fd = release();
    return fd >= 0 ? ::close(fd) : 0;
  }

 private:
  int fd_;
};

}  // namespace caravan
